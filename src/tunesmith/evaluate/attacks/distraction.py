"""Attack: sentences that have nothing to do with the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, around, sentence_ends
from tunesmith.evaluate.attacks._texts import texts


@dataclass(frozen=True)
class Distraction:
    """Irrelevant sentences before the question, behind it, and between its sentences (Shi et al. 2023).

    Args:
        sentences: sentences of one's own; empty: a list that belongs to no domain.
        edits: sentences put in together.
        characters: their letters together.
        queries: questions to the model for one row.
    """

    sentences: tuple[str, ...] = ()
    edits: Annotated[int, Field(ge=1)] = 4
    characters: Annotated[int, Field(ge=1)] = 600
    queries: Annotated[int, Field(ge=1)] = 16

    level: ClassVar[Level] = "sentence"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        chosen = list(self.sentences) or texts("distraction")

        def edits(_row: Example, text: str) -> list[Edit]:
            inside = sentence_ends(text)
            found = [edit for sentence in chosen for edit in around(text, sentence)]
            return found + [
                Edit(place, place, f"{chosen[number % len(chosen)]} ") for number, place in enumerate(inside)
            ]

        return edits
