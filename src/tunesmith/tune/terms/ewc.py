"""Elastic weight consolidation: weights that general data needs are held more firmly than others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunesmith.core import ids
from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.objective import Job, Running
from tunesmith.tune.untrained import OBJECTIVE, as_base, no_general_rows, remembered

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.anchored import Moved
    from tunesmith.tune.batches import Row

MOST_PASSES = 1_000_000
"""Backward passes that `samples: all` may take; a vocabulary of 50,000 reaches it at 20 positions."""


@dataclass(frozen=True)
class Ewc:
    """Half the squared distance from the base's weights, each weighed by its Fisher information on general data.

    1/2 sum_i F_i (w_i - w0_i)^2 (Kirkpatrick et al. 2017, arXiv:1612.00796, eq. 3). F_i is the diagonal of the Fisher
    information of the base on the general rows (`split: general`), as a mean over predicted tokens; so the value
    estimates, to second order and without the entries off the diagonal, how many nats per token the model has moved
    from the base on general data: KL(base || model).

    Labels come from the model itself, so that this is the Fisher and not the "empirical" one. By `samples` draws per
    position and one row a backward pass it is unbiased; `all` goes through every token of the vocabulary at every
    position and is exact (see `tune.fisher`). It is computed once, before the first step, and kept with the expert as
    `terms/fisher.safetensors`, under the base's names.

    Of an adapter it holds the change that the model feels: with W + s B A the penalty is taken on dW = s B A with the
    Fisher of W. The Fisher of A and B themselves would be worth nothing: at the start B is zero, so A's is zero, and
    B's changes with every step of A (see `tune.anchored`). F has as many numbers as the matrices that are adapted.

    Args:
        samples: draws of all labels of a row, one backward pass each; `all`: exact, for small vocabularies only.
    """

    samples: Annotated[int, Field(ge=1)] | Literal["all"] = 4

    def bind(self, job: Job) -> Running:
        """See `Term`.

        Raises:
            UserError: no general rows; `all` would take too long; the base's weights are 4-bit, or have moved in an
                earlier phase; an adapter of an unknown kind.
        """
        from tunesmith.tune.anchored import moved_matrices

        rows = job.general()
        if not rows:
            raise no_general_rows("ewc")
        moved = moved_matrices(job.model, "ewc")
        packed = [one.name for one in moved if not one.base.is_floating_point()]
        if packed:
            found = f"ewc needs the gradient of the base's weights, and {packed[0]} is kept in 4 bits"
            raise UserError(Problem("anchor-does-not-fit", found, "use strategy lora, or the term l2_sp", OBJECTIVE))
        about = {"rows": ids.content_id("rows", [[row.ids, row.trained] for row in rows]), "samples": self.samples,
                 "seed": job.seed, "weights": [one.name for one in moved]}  # fmt: skip
        with as_base(job, "ewc"):
            path, fisher = remembered(job.folder, "fisher", about, lambda: self._fisher(job, rows, moved))
        return _Ewc(moved, [fisher[one.name].to(one.base.device) for one in moved], path)

    def _fisher(self, job: Job, rows: Sequence[Row], moved: Sequence[Moved]) -> dict[str, Tensor]:
        """Matrix name -> F, the mean over all trained positions of `rows`."""
        import torch

        from tunesmith.tune.batches import pack_rows
        from tunesmith.tune.fisher import exact_fisher, sampled_fisher

        positions = sum(len(row.trained) for row in rows)
        generator = torch.Generator().manual_seed(job.seed)
        totals = [torch.zeros_like(one.base, dtype=torch.float32) for one in moved]
        message = f"Fisher information of {positions:,} general tokens"
        with _differentiated([one.base for one in moved]) as weights:
            for row in job.events.track(rows, "tune", message, total=len(rows), unit="rows"):
                made = job.forward.predictions(pack_rows([row], 0))
                if self.samples == "all":
                    vocabulary = made.head(made.hidden_ND[:1].detach()).shape[-1]
                    self._refuse_long(positions * vocabulary)
                    parts = exact_fisher(made.hidden_ND, made.head, weights)
                else:
                    parts = sampled_fisher(
                        made.hidden_ND, made.head, weights, samples=self.samples, generator=generator
                    )
                for total, part in zip(totals, parts, strict=True):
                    total += part / positions
        return {one.name: total for one, total in zip(moved, totals, strict=True)}

    def _refuse_long(self, passes: int) -> None:
        if passes > MOST_PASSES:
            found = f"samples: all takes {passes:,} backward passes, one for each token of the vocabulary and position"
            hint = "set samples: 4, or name fewer general rows (data.at_most_rows: {general: 100})"
            raise UserError(Problem("fisher-too-long", found, hint, OBJECTIVE))


@contextmanager
def _differentiated(weights: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    """`weights`, requiring gradient inside only."""
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield weights
    finally:
        for weight, flag in zip(weights, before, strict=True):
            weight.requires_grad_(flag)


@dataclass
class _Ewc(Running):
    moved: list[Moved]
    fisher: list[Tensor]
    path: Path

    def penalty(self) -> Tensor:
        """See `Companion`."""
        from tunesmith.tune.anchored import anchor_penalty

        return anchor_penalty(self.moved, self.fisher)

    def files(self) -> dict[str, Path]:
        """See `Companion`."""
        return {"fisher.safetensors": self.path}
