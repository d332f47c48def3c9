"""Domain alignment: rows stay within the ball around the domain's centroid in which the base has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunesmith.core import ids
from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.objective import Job, Predictions, Running
from tunesmith.tune.untrained import OBJECTIVE, as_base, remembered

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step

PARTS = ("supervised", "text")
ROUNDING = 1e-9
"""A scatter of less than this share of the mean square is none."""


@dataclass(frozen=True)
class DomainAlignment:
    """Mean over rows of max(0, |z - c|^2 / s^2 - free): how far rows lie outside the domain's usual ball.

    z is a row's pooled representation (the mean of its last states), c the domain's centroid and s^2 the mean squared
    distance from it, both over the training rows and under the base. So the value has no unit, and its weight means
    the same for every model. Pulling features to a centre is center loss (Wen et al. 2016, ECCV, eq. 2); there
    classes keep the centres apart, and the centres move with the features. One centre for a whole domain has nothing
    that keeps it from the trivial answer, every row at one point, and a centre that moves along makes that answer
    cheap. Hence two things of Deep SVDD (Ruff et al. 2018, ICML): c is fixed, the mean of a first forward pass over
    the training rows, and inside a ball there is no pull (their soft boundary): what tells rows apart there is
    left alone. The term holds training rows near where the base has the domain; it does not look at other data.

    Args:
        free: rows whose squared distance is at most this many times the base's mean are not pulled; 0: the plain mean
            squared distance, which pulls all rows to one point.
    """

    free: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def bind(self, job: Job) -> Running:
        """See `Term`.

        Raises:
            UserError: the phase has neither conversations nor text, or they are all alike; the base's own weights have
                moved in an earlier phase.
        """
        numbers = [number for number, row in enumerate(job.rows) if row.part in PARTS]
        about = {"rows": ids.content_id("rows", [job.rows[number].read for number in numbers])}
        with as_base(job, "domain_alignment"):
            _, stored = remembered(job.folder, "centroid", about, lambda: _measured(job, numbers))
        scatter = float(stored["scatter"])
        if not scatter > 0:
            found = f"domain_alignment needs training rows that differ; the {len(numbers)} rows here do not"
            raise UserError(Problem("no-scatter", found, "leave the term out", OBJECTIVE))
        return _DomainAlignment(stored["centroid"], scatter, self.free)


def _measured(job: Job, numbers: list[int]) -> dict[str, Tensor]:
    """`centroid` [D] and `scatter`, the mean squared distance from it, of the rows with these numbers."""
    import torch

    total_D, squares = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    batches = job.batches(numbers)
    for batch in job.events.track(batches, "tune", "centroid of the domain", total=len(batches), unit="batches"):
        with torch.no_grad():
            pooled_BD = job.forward.predictions(batch).pooled_BD().cpu().double()
        total_D, squares = total_D + pooled_BD.sum(0), squares + pooled_BD.square().sum()
    centroid_D, mean_square = total_D / max(1, len(numbers)), squares / max(1, len(numbers))
    scatter = mean_square - centroid_D.square().sum()
    alike = scatter <= ROUNDING * mean_square
    return {"centroid": centroid_D.float(), "scatter": torch.zeros(()) if alike else scatter.float()}


@dataclass
class _DomainAlignment(Running):
    centroid_D: Tensor
    scatter: float
    free: float

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        """See `Running`."""
        keep = [place for place, row in enumerate(predictions.batch.items) if row.part in PARTS]
        if not keep:
            return None
        pooled_BD = predictions.pooled_BD()[keep]
        far_B = (pooled_BD - self.centroid_D.to(pooled_BD.device)).square().sum(1) / self.scatter
        return (far_B - self.free).clamp_min(0).sum() / step.rows(PARTS)
