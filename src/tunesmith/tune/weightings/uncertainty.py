"""Weights by homoscedastic uncertainty: a learned log-variance a term."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunesmith.tune.objective import Weighting

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step


@dataclass(frozen=True)
class Uncertainty:
    """Each term has a learned variance exp(s) and the factor exp(-s) (Kendall et al. 2018, arXiv:1705.07115).

    Minimised is sum_i w_i (exp(-s_i) L_i + s_i / 2), with the project file's weights w_i outside: theirs is the
    priority, the factors only bring the terms to one scale. Their form has w_i = 1; with w_i inside, s_i would undo it.
    The derivative is known, so no autograd: after every step s_i -= rate (1/2 - exp(-s_i) L_i). It comes to rest at a
    factor of 1 / (2 L_i). All s_i begin at 0, so all factors at 1; a term that the step does not have keeps its own.

    Args:
        rate: learning rate of s.
        at_most: largest factor, and one over the smallest: the factor of a term that is zero at the start (the KL to
            the teacher), or below zero, would grow without end.
    """

    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025
    at_most: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 10.0

    def begin(self, weights: Mapping[str, float]) -> Weighting:
        """The weighting at work for terms with these names and weights."""
        return _Uncertainty(self.rate, math.log(self.at_most), dict.fromkeys(weights, 0.0))


@dataclass
class _Uncertainty(Weighting):
    rate: float
    limit: float
    log_variance: dict[str, float]
    seen: Mapping[str, float] = field(default_factory=dict)

    def factors(self, step: Step) -> Mapping[str, float]:
        """See `Weighting`."""
        return {name: math.exp(-s) for name, s in self.log_variance.items()}

    def learn(self, values: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """See `Weighting`; nothing moves before `after_step`."""
        self.seen = dict(values)

    def after_step(self, step: int) -> None:
        """See `Companion`."""
        for name, value in self.seen.items():
            s = self.log_variance.get(name, 0.0)
            s -= self.rate * (0.5 - math.exp(-s) * value)
            self.log_variance[name] = min(self.limit, max(-self.limit, s))
        self.seen = {}

    def tensors(self) -> dict[str, Tensor]:
        """See `Companion`."""
        import torch

        return {name: torch.tensor(s, dtype=torch.float64) for name, s in self.log_variance.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Companion`."""
        self.log_variance = {name: float(tensor) for name, tensor in tensors.items()}
        self.seen = {}
