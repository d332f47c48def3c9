"""Solved examples before the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Example
from tunesmith.reason.held_out import folded
from tunesmith.reason.library import Library, Solved, question_of, shown, solved, task_of
from tunesmith.reason.line import Job
from tunesmith.reason.paths._asking import Asking
from tunesmith.reason.shelf import RETRIEVERS

_LOOKED_AT = 8
"""Times as many of the likest examples are looked at as are shown, when unlike ones are chosen among them."""


@dataclass(frozen=True)
class FewShot(Asking):
    """Solved training rows before the question (Brown et al., 2020; Wei et al., 2022), the likest one last.

    Examples stand under the same system turn as the question, and never say the question itself.

    Args:
        shots: examples that are shown.
        choose: `retrieved`: those like the question; `fixed`: the same ones for all questions of a task.
        by: how like ones are found, a name from the shelf of retrievers.
        diversity: how far examples like those already chosen are avoided; 0: not at all, 1: above all (maximal marginal
            relevance, Carbonell and Goldstein, 1998).
    """

    shots: Annotated[int, Field(ge=1, le=64)] = 4
    choose: Literal["retrieved", "fixed"] = "retrieved"
    by: Use = Use(use="lexical")  # noqa: RUF009 - frozen
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.3

    def __post_init__(self) -> None:
        """Refuses a retriever that is unknown or wrongly set."""
        RETRIEVERS.build(self.by, where="by")

    def put(self, job: Job, questions: Sequence[Conversation]) -> list[Conversation]:
        """The questions with examples before them."""
        library = job.line.library
        found = library.index(self.by).scores([*map(question_of, questions)]) if self._looks(library) else None
        return [
            shown(question, self._chosen(library, question, None if found is None else found[n]))
            for n, question in enumerate(questions)
        ]

    def prepare(self, rows: Sequence[Example], job: Callable[[], Job]) -> list[Solved]:
        """The rows that are one question with one good answer."""
        return [one for row in rows if (one := solved(row))]

    def _looks(self, library: Library) -> bool:
        return self.choose == "retrieved" and len(library) > 0

    def _chosen(self, library: Library, question: Conversation, scores: NDArray[np.float64] | None) -> list[Solved]:
        task, asked = task_of(question), folded(question_of(question))
        fit = [n for n, e in enumerate(library.entries) if e.task == task and folded(e.question) != asked]
        if scores is None:
            fixed = sorted((library.entries[n] for n in fit), key=lambda entry: entry.id)
            return fixed[: self.shots]
        likest = sorted(fit, key=lambda n: (-scores[n], n))[: _LOOKED_AT * self.shots]
        alike = library.index(self.by).alike(likest) if likest else np.zeros((0, 0))
        places = diverse(scores[likest], alike, self.shots, diversity=self.diversity)
        return [library.entries[likest[place]] for place in sorted(places, reverse=True)]


def diverse(scores: NDArray[np.float64], alike: NDArray[np.float64], count: int, *, diversity: float) -> list[int]:
    """Maximal marginal relevance: places of `count` candidates, in the order in which they are chosen.

    Args:
        scores: of each candidate, falling.
        alike: of each pair of candidates.
        count: how many are chosen.
        diversity: weight of the likeness to the nearest one chosen; 1 minus it is that of the score.
    """
    chosen: list[int] = []
    while len(chosen) < min(count, len(scores)):
        nearest = alike[:, chosen].max(1) if chosen else np.zeros(len(scores))
        worth = (1 - diversity) * scores - diversity * nearest
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
    return chosen
