"""Attack: other words that mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened
from tunesmith.evaluate.attacks._texts import synonym_sets


@dataclass(frozen=True)
class Synonyms:
    """Words become others of a short table of words that stand for each other in most sentences, English and Chinese.

    The table is cautious and small; `also` adds the words of a domain. A capital at the front stays a capital.

    Args:
        also: further sets of words that mean the same: `[[overdraft, deficit], ...]`.
        edits: words exchanged together.
        characters: letters of these words together.
        queries: questions to the model for one row.
    """

    also: tuple[tuple[str, ...], ...] = ()
    edits: Annotated[int, Field(ge=1)] = 5
    characters: Annotated[int, Field(ge=1)] = 120
    queries: Annotated[int, Field(ge=1)] = 20

    level: ClassVar[Level] = "word"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        table = _table([*synonym_sets(), *self.also])
        latin = [re.escape(word) for word in table if word.isascii()]
        other = sorted((re.escape(word) for word in table if not word.isascii()), key=len, reverse=True)
        found = re.compile(rf"(?<![\w'’-])(?:{'|'.join(latin)})(?![\w'’-])|{'|'.join(other) or '(?!)'}", re.IGNORECASE)

        def edits(_row: Example, text: str) -> list[Edit]:
            return [
                Edit(match.start(), match.end(), _like(match[0], other))
                for match in found.finditer(text)
                for other in table[match[0].casefold()]
            ]

        return edits


def _table(sets: Iterable[Iterable[str]]) -> dict[str, list[str]]:
    """Word, folded -> the others of its sets, each once."""
    table: dict[str, list[str]] = {}
    for words in map(list, sets):
        for word in words:
            others = table.setdefault(word.casefold(), [])
            others += [other for other in words if other != word and other not in others]
    return table


def _like(word: str, other: str) -> str:
    """`other` with the capitals of `word`."""
    return other.upper() if word.isupper() and len(word) > 1 else other.capitalize() if word[0].isupper() else other
