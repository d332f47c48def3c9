"""AdaLoRA: rank moves between matrices during training, from where it does little to where it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunesmith.tune.bands import Bands, WeightFormat
from tunesmith.tune.objective import Companion
from tunesmith.tune.strategies import _adapters
from tunesmith.tune.strategies._adapters import Alpha, Rank, Roles

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


@dataclass(frozen=True)
class Adaptive:
    """Updates P diag(E) Q whose ranks share one budget (Zhang et al. 2023, AdaLoRA, arXiv:2303.10512), made by PEFT.

    Every matrix begins with more rank than its share of the budget. As training goes on the least important triplets
    (a column of P, a value of E, a row of Q; importance: eq. 8-11) are switched off, down to the budget by a cubic
    schedule (eq. 12); the last steps train what is left. What was switched off is not in the checkpoint.

    Args:
        rank: mean rank of a matrix at the end; `auto`: from the rule table.
        alpha: the update is scaled by alpha / (rank at the start); `auto`: from the rule table.
        dropout: probability of dropping an adapter's input.
        roles: linear layers that are adapted: `all`, `attention` (query, key, value), or a list; see `models.roles`.
        upper: share of the layers, counted from the top, that are adapted; 1: all. At least one layer is.
        spare: rank at the start over rank at the end.
        warm: share of the steps before any rank is taken away.
        settle: share of the steps at the end in which no rank moves; at least one step.
        orthogonal: weight of the penalty that keeps P and Q orthogonal, so that E says what a triplet does (eq. 4).
    """

    rank: Rank = "auto"
    alpha: Alpha = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    roles: Roles = "all"
    upper: Annotated[float, Field(gt=0, le=1)] = 0.5
    spare: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1.5
    warm: Annotated[float, Field(ge=0, lt=1)] = 0.1
    settle: Annotated[float, Field(ge=0, lt=1)] = 0.3
    orthogonal: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1

    weight_format: ClassVar[WeightFormat] = "plain"
    beside: ClassVar[bool] = True

    def border(self, layers: int) -> int:
        """Number of the lowest adapted layer: 30 layers and upper 0.5 give 15."""
        return Bands.upper(layers, self.upper).frozen

    def apply(self, model: Any, *, seed: int) -> Any:
        """A PEFT model with a fresh adapter: P and Q are random, E is zero. See `Strategy.apply`.

        Raises:
            ValueError: rank or alpha is still `auto`; no weight has the roles; the role `experts` is asked for.
        """
        from peft import AdaLoraConfig

        rank, alpha = _adapters.filled(self.rank, self.alpha)
        bands = Bands.upper(_adapters.layers_of(model), self.upper)
        found = _adapters.found_in(model, self._roles, bands.adapted_layers)
        config = AdaLoraConfig(
            init_r=self._start(rank),
            target_r=rank,
            lora_alpha=alpha,
            lora_dropout=self.dropout,
            target_modules=list(found.linear),
            orth_reg_weight=self.orthogonal,
            total_step=1,  # `running` knows how many there are
            fan_in_fan_out=found.turned,
            task_type="CAUSAL_LM",
        )
        return _adapters.fresh(model, config, seed=seed)

    def trainable(self, shape: Shape) -> int:
        """Weights of P, E and Q at the start: rank (inputs + outputs + 1) each; those switched off stay in memory."""
        (rank,) = _adapters.filled(self.rank)
        found = _adapters.found_by_shape(shape, self._roles, Bands.upper(shape.layers, self.upper).adapted_layers)
        start, names = self._start(rank), [f"{name}.weight" for name in found.linear]
        return _adapters.low_rank_weights(shape.weights, names, start) + start * len(names)

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("adaptive", self)

    def rate_factor(self, name: str) -> float:
        """1 for every weight."""
        return 1.0

    def running(self, adapted: Any, *, steps: int) -> Companion:
        """What moves the rank; see `Moving`."""
        from tunesmith.tune.strategies._allocation import Allocation

        return Allocation(adapted, steps=steps, warm=self.warm, settle=self.settle)

    def _start(self, rank: int) -> int:
        return max(rank + 1, math.ceil(rank * self.spare - 1e-9))

    @property
    def _roles(self) -> Roles:
        if "experts" in _adapters.named(self.roles):
            raise ValueError("AdaLoRA has no form for routed experts; leave `experts` out of tune.strategy.roles")
        return self.roles
