"""Attack: capitals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened

_WORDS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class LetterCase:
    """The whole question in capitals, with Capitals In Front, in aLtErNaTiNg ones, or without any.

    Args:
        edits: always 1, the whole text.
        characters: longest text that is attacked.
        queries: questions to the model for one row.
    """

    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 20_000
    queries: Annotated[int, Field(ge=1)] = 4

    level: ClassVar[Level] = "character"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        return _edits


def _edits(_row: Example, text: str) -> list[Edit]:
    capitals = _WORDS.sub(lambda match: match[0].capitalize(), text)
    turns = "".join(c.upper() if place % 2 else c.lower() for place, c in enumerate(text))
    others = [text.upper(), text.lower(), capitals, turns]
    return [Edit(0, len(text), other) for other in dict.fromkeys(others) if other != text]
