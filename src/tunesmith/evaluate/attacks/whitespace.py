"""Attack: white space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened

_SPACE = re.compile(r"(?<=\S) (?=\S)")


@dataclass(frozen=True)
class Whitespace:
    """Spaces that are others: doubled, tabs, line ends, no-break spaces between all words; blank lines around the text.

    Args:
        edits: always 1, the whole text.
        characters: longest text that is attacked.
        queries: questions to the model for one row.
    """

    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 20_000
    queries: Annotated[int, Field(ge=1)] = 7

    level: ClassVar[Level] = "character"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        return _edits


def _edits(_row: Example, text: str) -> list[Edit]:
    between = [_SPACE.sub(space, text) for space in ("  ", "\t", "\n", "\u00a0")]
    whole = [f"\n\n\n{text}", f"{text}\n\n\n", f"   {text}   "]
    return [Edit(0, len(text), other) for other in dict.fromkeys([*between, *whole]) if other != text]
