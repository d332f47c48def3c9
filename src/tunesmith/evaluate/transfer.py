"""A sequence of tasks learnt one after the other: what later ones did to the earlier ones, and what they owe to them.

R[i][j] is the score on task j after task i was learnt. Backward transfer is the mean over earlier tasks of
R[last][j] - R[j][j], below 0 where they were forgotten; average accuracy the mean of R[last][j] (Lopez-Paz and Ranzato
2017, arXiv:1706.08840, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.evaluate.combine import mean_of_independent
from tunesmith.evaluate.comparing import Told, paired_difference
from tunesmith.evaluate.statistics import Sampling


def transfer(reports: Sequence[Mapping[str, Path]], *, sampling: Sampling | None = None) -> dict[str, Any]:
    """Backward transfer over stored reports, each task with its paired test.

    Args:
        reports: one mapping per task in the order of learning: task -> folder of a report of the expert of that moment
            on the held-out rows of that task. The i-th mapping names the i-th task and all before it, tasks in the
            order in which they were learnt.
        sampling: how intervals are made.

    Returns:
        `tasks`; `scores`, R as a list of rows with None above the diagonal; `backward`, the mean with its interval
        (None for one task); `forgotten`, per earlier task the difference as a measure; `average`.

    Raises:
        UserError: the mappings do not grow by one task each, or a folder holds no report.
    """
    how = sampling or Sampling()
    tasks = list(reports[-1]) if reports else []
    wanted = [tasks[: n + 1] for n in range(len(tasks))]
    if not tasks or [list(mapping) for mapping in reports] != wanted:
        message = f"the reports name {[list(mapping) for mapping in reports]}, expected {wanted}"
        raise UserError(Problem("no-sequence", message, "name every task learnt so far, in order, at each step"))
    told = [{task: Told.read(Path(folder), name=task) for task, folder in mapping.items()} for mapping in reports]
    scores = [[_mean(row[task]) if task in row else None for task in tasks] for row in told]
    forgotten = []
    for place, task in enumerate(tasks[:-1]):
        before, after = told[place][task], told[-1][task]
        found = paired_difference(before, after, after.report["scorer"], how)
        if found is not None:
            forgotten.append(found.model_copy(update={"slice": f"task={task}"}))
    backward = (
        mean_of_independent(forgotten, name="backward_transfer", model="difference", level=how.level)
        if forgotten
        else None
    )
    known = [score for score in scores[-1] if score is not None]
    return {
        "tasks": tasks,
        "scores": scores,
        "backward": backward.model_dump(mode="json") if backward else None,
        "forgotten": [measure.model_dump(mode="json") for measure in forgotten],
        "average": sum(known) / len(known) if known else None,
    }


def _mean(told: Told) -> float | None:
    values = list(told.scores(told.report["scorer"]).values())
    return sum(values) / len(values) if values else None
