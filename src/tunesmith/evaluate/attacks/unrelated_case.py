"""Attack: another case of the same kind in the context."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, question_place

_BEFORE = "Another case, for the record only and not part of this request:"
_BEHIND = "End of the other case. This is the request:"


@dataclass(frozen=True)
class UnrelatedCase:
    """Questions of other rows stand before the question, marked as not asked, as in a file with several cases.

    Args:
        longest: letters of the other case that are quoted.
        edits: always 1, one other case.
        characters: letters put in.
        queries: questions to the model for one row, each with another case.
    """

    longest: Annotated[int, Field(ge=20)] = 600
    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 1200
    queries: Annotated[int, Field(ge=1)] = 6

    level: ClassVar[Level] = "sentence"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        others = [(row.reference, _asked(row)[: self.longest]) for row in known.training if _asked(row)]

        def edits(row: Example, text: str) -> list[Edit]:
            dice = random.Random(row.id)
            apart = [asked for reference, asked in others if reference != row.reference and asked not in text]
            some = dice.sample(apart, min(self.queries, len(apart)))
            return [Edit(0, 0, f"{_BEFORE}\n> {asked}\n{_BEHIND}\n\n") for asked in some]

        return edits


def _asked(row: Example) -> str:
    place = question_place(row)
    return "" if place is None else " ".join(row.prompt[place].content.split())
