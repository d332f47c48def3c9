"""Attack: characters that nobody sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened
from tunesmith.evaluate.attacks._guard import free_words

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"
"""Zero-width space, non-joiner, joiner, word joiner, byte-order mark, soft hyphen, Mongolian vowel separator."""


@dataclass(frozen=True)
class ZeroWidth:
    """Invisible characters inside words, before the text and behind it: a reader sees nothing, a tokeniser does.

    Args:
        edits: characters put in together.
        characters: the same, counted in characters.
        queries: questions to the model for one row.
    """

    edits: Annotated[int, Field(ge=1)] = 8
    characters: Annotated[int, Field(ge=1)] = 16
    queries: Annotated[int, Field(ge=1)] = 24

    level: ClassVar[Level] = "character"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""

        def edits(row: Example, text: str) -> list[Edit]:
            places = [0, len(text), *((start + end) // 2 for start, end in free_words(text, row, known))]
            return [Edit(place, place, sign) for place in dict.fromkeys(places) for sign in INVISIBLE]

        return edits
