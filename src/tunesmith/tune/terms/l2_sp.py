"""L2-SP: half the squared distance of the trained weights from the base's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.tune.objective import Job, Running
from tunesmith.tune.untrained import as_base

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.anchored import Moved


@dataclass(frozen=True)
class L2Sp:
    """Half the squared distance of the weights from the base's (Li et al. 2018, arXiv:1802.01483).

    There are no new layers, so the second part of theirs, plain weight decay on these, has nothing to hold. Of an
    adapter it holds the change that the model feels, dW = s B A, not A and B (see `tune.anchored`). A distance of
    weights has no unit that could be compared with a loss, so the term's weight has to be found by trying.
    """

    def bind(self, job: Job) -> Running:
        """See `Term`.

        Raises:
            UserError: a later phase after one that trained the base's own weights; an adapter of an unknown kind.
        """
        from tunesmith.tune.anchored import moved_matrices

        with as_base(job, "l2_sp"):
            pass  # only asks whether the base is still there
        return _L2Sp(moved_matrices(job.model, "l2_sp"))


@dataclass
class _L2Sp(Running):
    moved: list[Moved]

    def penalty(self) -> Tensor:
        """See `Companion`."""
        from tunesmith.tune.anchored import anchor_penalty

        return anchor_penalty(self.moved, [None] * len(self.moved))
