"""Attack: an instruction planted in the text that is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, around, sentence_ends
from tunesmith.evaluate.attacks._texts import texts, wrong_answer


@dataclass(frozen=True)
class PromptInjection:
    """An order to say a wrong answer stands before, behind or inside the text (Greshake et al. 2023).

    The wrong answer is another label of the set or, for free text, a phrase that no answer holds.

    Args:
        orders: wordings of one's own with `{wrong}` where the wrong answer stands; empty: a list of usual ones.
        edits: always 1, one order.
        characters: letters put in.
        queries: questions to the model for one row.
    """

    orders: tuple[str, ...] = ()
    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 1000
    queries: Annotated[int, Field(ge=1)] = 30

    level: ClassVar[Level] = "instruction"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        orders = list(self.orders) or texts("injection")

        def edits(row: Example, text: str) -> list[Edit]:
            wrong = wrong_answer(row, known)
            inside = sentence_ends(text)
            middle = inside[len(inside) // 2] if inside else None
            found: list[Edit] = []
            for order in orders:
                new = order.replace("{wrong}", wrong)
                found += around(text, new, wrong)
                found += [] if middle is None else [Edit(middle, middle, f"{new}\n", wrong)]
            return found

        return edits
