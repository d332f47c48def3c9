"""What augmenters share whose children must mean what their parents mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example
from tunesmith.data.augment._guard import Corpus
from tunesmith.data.augment._making import Draft
from tunesmith.data.meaning import held, open_meaning


class Rewording(ABC):
    """Drafts children, and lets those through that mean the same.

    Fields:
        name: of the component.
        encoder, alike: what judges the meaning, and how alike it must be; see `meaning.open_meaning`.
    """

    name: ClassVar[str]
    encoder: str | None
    alike: float

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `core.protocols.Maker`."""
        corpus = Corpus.of(rows)
        meaning = open_meaning(self.encoder, self.alike, context, labels=corpus.labels)
        return held(self._drafts(rows, context, corpus), meaning, step=self.name)

    @abstractmethod
    def _drafts(self, rows: Iterable[Example], context: Context, corpus: Corpus) -> Iterator[Draft]:
        """(what a child must mean the same as, the child); says what was left out."""
