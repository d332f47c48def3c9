"""Attack: much text around a short question."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, around
from tunesmith.evaluate.attacks._texts import texts


@dataclass(frozen=True)
class LongInput:
    """Pages of prose about an unnamed town stand before or behind the question (Liu et al. 2024, "Lost in the middle").

    What is longer than the model's context is not answered, and counted as unscored.

    Args:
        lengths: letters put in; each is tried.
        edits: texts put in together.
        characters: their letters together.
        queries: questions to the model for one row.
    """

    lengths: tuple[int, ...] = (500, 2000, 6000)
    edits: Annotated[int, Field(ge=1)] = 2
    characters: Annotated[int, Field(ge=1)] = 12_000
    queries: Annotated[int, Field(ge=1)] = 8

    level: ClassVar[Level] = "sentence"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        fillers = [_prose(length) for length in self.lengths]

        def edits(_row: Example, text: str) -> list[Edit]:
            return [edit for filler in fillers for edit in around(text, filler)]

        return edits


def _prose(length: int) -> str:
    """At least `length` letters of whole sentences."""
    parts, size = [], 0
    for sentence in cycle(texts("filler")):
        if size >= length:
            return " ".join(parts)
        parts.append(sentence)
        size += len(sentence) + 1
    return ""
