"""GradNorm: factors that give every term a gradient of a size that follows how fast it is learnt."""

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
class Gradnorm:
    """Gradients of like size, larger for terms that are learnt slowly (Chen et al. 2018, arXiv:1711.02257).

    With n_i the norm of term i's gradient at the last states, G_i = f_i n_i, G their mean, and r_i how much of term i
    is left, over the mean of what is left of all: the factors f_i go down the gradient of sum_i |G_i - G r_i^alpha|,
    the second part held constant, and are then scaled so that their sum stays the number of terms.

    It differs from the paper in three points. The project file's weights stand outside, as priorities, and are not
    balanced away. The descent is in log f_i and over G, f_i *= exp(-rate sign(G_i - G r_i^alpha) G_i / G), so factors
    stay positive and the rate means the same whatever the norms. What is left is L_i over its largest value so far,
    not over its first: the same for a term that falls, and a term that is zero at the start has no first value.

    Only terms that read states take part; a penalty on weights (EWC, L2-SP) has no gradient there and keeps factor 1.

    Args:
        alpha: how much more a slow term gets; 0: all gradients of one size. The paper's range is 0.12 to 1.5.
        rate: learning rate of the factors.
    """

    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.5
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025

    def begin(self, weights: Mapping[str, float]) -> Weighting:
        """The weighting at work for terms with these names and weights."""
        return _Gradnorm(self.alpha, self.rate)


@dataclass
class _Gradnorm(Weighting):
    wants_norms = True

    alpha: float
    rate: float
    factor: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    seen: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def factors(self, step: Step) -> Mapping[str, float]:
        """See `Weighting`."""
        return self.factor

    def learn(self, values: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """See `Weighting`; nothing moves before `after_step`."""
        self.seen = {name: (values[name], norm) for name, norm in norms.items()}

    def after_step(self, step: int) -> None:
        """See `Companion`."""
        for name, (value, _) in self.seen.items():
            self.factor.setdefault(name, 1.0)
            self.largest[name] = max(value, self.largest.get(name, 0.0))
        size = {name: self.factor[name] * norm for name, (_, norm) in self.seen.items()}
        usual = sum(size.values()) / max(1, len(size))
        if usual > 0:
            left = {name: _left(value, self.largest[name]) for name, (value, _) in self.seen.items()}
            self._move(size, usual, left)
        self.seen = {}

    def _move(self, size: Mapping[str, float], usual: float, left: Mapping[str, float]) -> None:
        before = sum(self.factor[name] for name in size)
        usually_left = sum(left.values()) / len(left) or 1.0
        for name, own in size.items():
            off = own - usual * (left[name] / usually_left) ** self.alpha
            sign = math.copysign(1.0, off) if off else 0.0
            self.factor[name] *= math.exp(-self.rate * sign * own / usual)
        scale = before / sum(self.factor[name] for name in size)
        for name in size:
            self.factor[name] *= scale

    def tensors(self) -> dict[str, Tensor]:
        """See `Companion`."""
        import torch

        state = {f"factor/{name}": value for name, value in self.factor.items()}
        state |= {f"largest/{name}": value for name, value in self.largest.items()}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Companion`."""

        def part(kind: str) -> dict[str, float]:
            return {name.removeprefix(kind): float(tensor) for name, tensor in tensors.items() if name.startswith(kind)}

        self.factor, self.largest, self.seen = part("factor/"), part("largest/"), {}


def _left(value: float, largest: float) -> float:
    """How much of a term is left to learn: 1 where it has not fallen yet."""
    return max(0.0, value) / largest if largest > 0 else 1.0
