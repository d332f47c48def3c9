"""Kahneman-Tversky optimisation: single answers with a verdict, no pairs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.gathered import Gathered
from tunesmith.tune.objective import Job, Predictions, Running

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Row, Step

STAGE = "tune"
BALANCE = (1.0, 4 / 3)
"""Where the paper wants (weight * rows) of the desirable over that of the undesirable answers to lie (eq. 9)."""


@dataclass(frozen=True)
class Kto:
    """Kahneman-Tversky optimisation on answers with a verdict (Ethayarajh et al. 2024, arXiv:2402.01306).

    The mean over rows. Reads `rows: judged`: desirable and undesirable answers, those of pairs among them. The
    reference is the model as the phase begins, its log-probabilities computed once and kept. The reference point z is
    the paper's estimate of KL(pi || ref): the mean of log pi / ref over prompts with another row's answer, not below 0.
    It is taken before the step over all rows of the step (the other answer is drawn once, so its reference is kept
    too), carries no gradient, and so does not depend on how the step is cut; it costs one more forward pass. The curve
    has `accuracy` (share of rows on the right side of z), `margin` (mean reward of the desirable less that of the
    undesirable rows) and `reference_point`.

    Args:
        beta: how risk-averse the value function is.
        desirable: weight of the desirable rows.
        undesirable: weight of the undesirable rows.
        chunk_tokens: positions whose logits are in memory at a time.
    """

    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    desirable: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    undesirable: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    chunk_tokens: Annotated[int, Field(ge=1)] = 1024
    reads: ClassVar[tuple[str, ...]] = ("judged", "pairs")

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        from tunesmith.tune.preference import PARTS, WORSE
        from tunesmith.tune.sequence import start_sums, start_sums_of

        judged = [row for row in job.rows if row.part in PARTS]
        worse = sum(row.part == WORSE for row in judged)
        if not worse:
            found = "kto reads answers with a verdict, and no row of this phase is undesirable"
            hint = "tune.phases: [{rows: judged, objective: [{use: kto}]}]"
            raise UserError(Problem("needs-verdicts", found, hint, "tune.phases"))
        balance = self.desirable * (len(judged) - worse) / (self.undesirable * worse)
        if not BALANCE[0] <= balance <= BALANCE[1]:
            message = f"kto: desirable answers weigh {balance:.2f} times the undesirable ones; the paper has 1 to 1.33"
            job.events.tell("note", STAGE, message, desirable=len(judged) - worse, undesirable=worse)
        crossed = dict(zip(judged, crossed_rows(judged, seed=job.seed), strict=True))
        before = start_sums_of(job, "kto-crossed", list(crossed.values())).tolist()
        return _Kto(self, job, start_sums(job), crossed, dict(zip(crossed, before, strict=True)))


def crossed_rows(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Each row's prompt with another row's answer, each answer once; none is longer than the longest of `rows`."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    longest = max(len(row.ids) for row in rows)
    made = list(rows)
    for place, number in enumerate(order):
        asked, other = rows[number], rows[order[(place + 1) % len(order)]]
        start = asked.trained[0]
        ids = (asked.ids[:start] + other.ids[other.trained[0] : other.trained[-1] + 1])[:longest]
        made[number] = replace(asked, ids=ids, trained=tuple(range(start, len(ids))))
    return made


@dataclass
class _Kto(Running):
    """At work.

    Args:
        settings: of the term.
        job: makes predictions for the reference point.
        reference: log-probability of every row of the phase as it began.
        crossed: row -> its prompt with another row's answer.
        before: row -> log-probability of its crossed row as the phase began.
    """

    settings: Kto
    job: Job
    reference: Tensor
    crossed: Mapping[Row, Row]
    before: Mapping[Row, float]
    point: float | None = None
    seen: Gathered = field(default_factory=Gathered)

    def begin(self, step: Step) -> None:
        from tunesmith.tune.preference import PARTS
        from tunesmith.tune.sequence import sums_now

        self.seen.clear()
        rows = [row for row in step.items if row.part in PARTS]
        if rows:
            now = sums_now(self.job, [self.crossed[row] for row in rows])
            self.point = max(0.0, float(now.mean()) - sum(self.before[row] for row in rows) / len(rows))

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        import torch

        from tunesmith.tune.preference import BETTER, PARTS, kto_loss
        from tunesmith.tune.sequence import answer_sums

        own, items = self.settings, predictions.batch.items
        mine = [place for place, row in enumerate(items) if row.part in PARTS]
        if not mine:
            return None
        if self.point is None:
            self.begin(step)
        point = self.point or 0.0
        sums = answer_sums(predictions, PARTS, chunk_tokens=own.chunk_tokens)
        ratio = sums[mine] - self.reference[[predictions.batch.rows[place] for place in mine]].to(sums.device)
        good = torch.tensor([items[place].part == BETTER for place in mine], device=sums.device)
        losses = kto_loss(ratio, good, reference_point=point, beta=own.beta)
        weights = torch.where(good, own.desirable, own.undesirable)
        self._see(own.beta * ratio.detach(), good, own.beta * point)
        return (weights * losses).sum() / step.rows(PARTS)

    def told(self) -> dict[str, float]:
        figures = self.seen.means(of="rows", accuracy="right")
        good, bad = self.seen.means(of="good", reward="rewards_good"), self.seen.means(of="bad", reward="rewards_bad")
        if good and bad:
            figures["margin"] = good["reward"] - bad["reward"]
        return {**figures, "reference_point": self.point} if self.point is not None else figures

    def _see(self, rewards: Tensor, good: Tensor, point: float) -> None:
        right = (rewards > point) == good
        self.seen.add(rows=len(good), right=right.sum(), good=good.sum(), bad=(~good).sum())
        self.seen.add(rewards_good=rewards[good].sum(), rewards_bad=rewards[~good].sum())
