"""The part `tasks` of the section `data`: which task types must be there, and whether rows are tagged."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from tunesmith.core.errors import Problem
from tunesmith.core.spec import Section
from tunesmith.data.tasks.catalogue import task_types, unknown_task


class Tasks(Section):
    """Which tasks the training rows are."""

    tag: bool = Field(False, description="tell the task type of training rows; needed by the settings below")
    must: dict[str, PositiveInt] = Field(
        {},
        description="task type or family -> fewest training rows of it; gate G1 says no below (see docs/synthesis.md)",
    )
    unknown: float = Field(
        1.0, ge=0.0, le=1.0, description="largest share of rows that the classifier does not know; 1: any (a choice)"
    )
    at_most_rows: int = Field(
        20_000, ge=1, description="training rows that are tagged; of more, evenly spread ones (a row takes 5 to 20 ms)"
    )
    nearest: bool = Field(
        False,
        description="compare what no rule knows with the definitions, by an encoder (English; brought once, 90 MB)",
    )

    def check(self, where: str) -> list[Problem]:
        """Names in `must` that are neither a task type nor a family."""
        known = {name for task in task_types() for name in (task.id, task.family)}
        return [unknown_task(name, f"{where}.must") for name in self.must if name not in known]
