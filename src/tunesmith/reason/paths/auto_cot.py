"""Examples that the model solved itself: one of each kind of question, kept where its chain held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Example
from tunesmith.reason.chains import Chain
from tunesmith.reason.held_out import folded
from tunesmith.reason.library import Solved, question_of, shown, solved, task_of
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths._asking import Asking
from tunesmith.reason.paths.zero_shot import ZeroShot
from tunesmith.reason.shelf import RETRIEVERS

SOURCE = "auto_cot"


@dataclass(frozen=True)
class AutoCot(Asking):
    """Chains that the model wrote to one training question of each kind, before the question (Zhang et al., 2022).

    Training questions are clustered; of each cluster the question nearest its centre is solved step by step, or the
    next nearest where the chain comes to no or a wrong answer, or a check speaks against it.

    Args:
        shots: clusters, and so at most examples.
        by: whose vectors are clustered, a name from the shelf of retrievers.
        tries: most questions of a cluster that are solved.
        at_most_rows: most training questions that are clustered.
    """

    shots: Annotated[int, Field(ge=1, le=64)] = 8
    by: Use = Use(use="embedding")  # noqa: RUF009 - frozen
    tries: Annotated[int, Field(ge=1)] = 4
    at_most_rows: Annotated[int, Field(ge=1)] = 2000

    def __post_init__(self) -> None:
        """Refuses a retriever that is unknown or wrongly set."""
        RETRIEVERS.build(self.by, where="by")

    def put(self, job: Job, questions: Sequence[Conversation]) -> list[Conversation]:
        """The questions, asked step by step, with the model's own chains before them."""
        own = [entry for entry in job.line.library.entries if entry.source == SOURCE]
        asked = ZeroShot().put(job, questions)
        return [
            shown(put, [e for e in own if e.task == task_of(plain) and not _same(e.question, plain)])
            for put, plain in zip(asked, questions, strict=True)
        ]

    def prepare(self, rows: Sequence[Example], job: Callable[[], Job]) -> list[Solved]:
        """Chains of the model's own that held, one of each cluster that had one."""
        fit = [row for row in rows if solved(row)][: self.at_most_rows]
        if not fit:
            return []
        clusters = self._clusters(fit)
        made: dict[int, Solved] = {}
        at_work = job()
        for number in range(self.tries):
            open_ = [n for n, rows in enumerate(clusters) if n not in made and number < len(rows)]
            asked = [clusters[n][number] for n in open_]
            chains = ZeroShot().draw(at_work, [row.prompt for row in asked])
            for n, row, (chain,) in zip(open_, asked, chains, strict=True):
                if holds(at_work.line, row, chain):
                    question = question_of(row.prompt)
                    made[n] = Solved.of(question, chain.written, task=task_of(row.prompt), source=SOURCE)
        return [made[n] for n in sorted(made)]

    def _clusters(self, rows: Sequence[Example]) -> list[list[Example]]:
        """The rows of each cluster, nearest to its centre first."""
        from sklearn.cluster import KMeans

        vectors = RETRIEVERS.build(self.by, where="by").index([question_of(row.prompt) for row in rows]).vectors()
        means = KMeans(min(self.shots, len(rows)), n_init=4, random_state=0).fit(vectors)
        far = means.transform(vectors)
        return [
            [rows[n] for n in np.argsort(far[:, k], kind="stable") if means.labels_[n] == k]
            for k in range(means.n_clusters)
        ]


def holds(line: Line, row: Example, chain: Chain) -> bool:
    """Whether a chain comes to its row's answer, and no check speaks against it."""
    right = line.read(row.reference)
    against = any(finding.verdict == "against" for finding in chain.findings)
    return not chain.unscored and right is not None and chain.conclusion == right and not against


def _same(question: str, conversation: Conversation) -> bool:
    return folded(question) == folded(question_of(conversation))
