"""Attack: a role, a game or a threat that asks the model to leave its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, around
from tunesmith.evaluate.attacks._texts import texts, wrong_answer


@dataclass(frozen=True)
class Jailbreak:
    """Templates that talk a model out of its task and into a wrong answer (Wei et al. 2023; Shen et al. 2024).

    Args:
        templates: wordings of one's own with `{wrong}` where the wrong answer stands; empty: a list of usual ones.
        edits: always 1, one template.
        characters: letters put in.
        queries: questions to the model for one row.
    """

    templates: tuple[str, ...] = ()
    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 1000
    queries: Annotated[int, Field(ge=1)] = 20

    level: ClassVar[Level] = "instruction"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        templates = list(self.templates) or texts("jailbreak")

        def edits(row: Example, text: str) -> list[Edit]:
            wrong = wrong_answer(row, known)
            return [edit for one in templates for edit in around(text, one.replace("{wrong}", wrong), wrong)]

        return edits
