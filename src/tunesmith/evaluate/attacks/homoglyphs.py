"""Attack: letters that look the same and are others."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened
from tunesmith.evaluate.attacks._guard import free_words

_CYRILLIC = dict(zip("aceiopsxyhABCEHIKMOPTXYS", "асеіорѕхуһАВСЕНІКМОРТХҮЅ", strict=True))
_GREEK = dict(zip("ovABEHIKMNOPTXYZ", "ονΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))
_FULL_WIDTH = {chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)}


@dataclass(frozen=True)
class Homoglyphs:
    """All letters of a word that have a look-alike become it: Cyrillic, Greek, full width; Chinese: Kangxi radicals.

    A reader sees the same text; its tokens are others (Boucher et al. 2022, "Bad Characters").

    Args:
        edits: words changed together.
        characters: letters of these words together.
        queries: questions to the model for one row.
    """

    edits: Annotated[int, Field(ge=1)] = 4
    characters: Annotated[int, Field(ge=1)] = 96
    queries: Annotated[int, Field(ge=1)] = 24

    level: ClassVar[Level] = "character"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""

        def edits(row: Example, text: str) -> list[Edit]:
            found = []
            for start, end in free_words(text, row, known):
                word = text[start:end]
                others = dict.fromkeys(_in(word, table) for table in (_CYRILLIC, _GREEK, _FULL_WIDTH, _radicals()))
                found += [Edit(start, end, other) for other in others if other != word]
            return found

        return edits


def _in(word: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in word)


@cache
def _radicals() -> dict[str, str]:
    """Chinese character -> the Kangxi radical that is drawn the same (Unicode's compatibility decomposition)."""
    return {unicodedata.normalize("NFKC", chr(c)): chr(c) for c in range(0x2F00, 0x2FD6)}
