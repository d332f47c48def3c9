"""LoRA on a band of depth: low-rank updates on the upper layers, everything else frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunesmith.tune.bands import Bands, WeightFormat
from tunesmith.tune.strategies import _adapters
from tunesmith.tune.strategies._adapters import Alpha, Rank, Roles

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on the upper layers (Hu et al. 2021, arXiv:2106.09685, eq. 3), made by PEFT.

    The layers below the band are frozen and stay without adapter: no gradient goes through them, and their states
    are computed once a run. Norms stay frozen.

    Args:
        rank: r of the update B A; `auto`: from the rule table.
        alpha: the update is scaled by alpha / rank; `auto`: from the rule table.
        dropout: probability of dropping an adapter's input.
        roles: linear layers that are adapted: `all`, `attention` (query, key, value), or a list; see `models.roles`.
        upper: share of the layers, counted from the top, that are adapted; 1: all. At least one layer is.
        rslora: scale by alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv:2312.03732).
        dora: train the length of every output's weights apart from their direction (Liu et al. 2024, arXiv:2402.09353).
        lora_plus: learning rate of B over that of A (Hayou et al. 2024, arXiv:2402.12354, who advise 16); 1: alike.
    """

    rank: Rank = "auto"
    alpha: Alpha = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    roles: Roles = "all"
    upper: Annotated[float, Field(gt=0, le=1)] = 0.5
    rslora: bool = False
    dora: bool = False
    lora_plus: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0

    weight_format: ClassVar[WeightFormat] = "plain"
    beside: ClassVar[bool] = True

    def border(self, layers: int) -> int:
        """Number of the lowest adapted layer: 30 layers and upper 0.5 give 15."""
        return Bands.upper(layers, self.upper).frozen

    def apply(self, model: Any, *, seed: int) -> Any:
        """A PEFT model with a fresh adapter: A is random (Kaiming), B is zero. See `Strategy.apply`.

        Raises:
            ValueError: rank or alpha is still `auto`; no weight has the roles; dropout or dora is asked for where
                weights are adapted by name (models with routed experts).
        """
        from peft import LoraConfig

        rank, alpha = _adapters.filled(self.rank, self.alpha)
        bands = Bands.upper(_adapters.layers_of(model), self.upper)
        found = _adapters.found_in(model, self.roles, bands.adapted_layers)
        self._check(found)
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=self.dropout,
            target_modules=list(found.modules),
            target_parameters=list(found.parameters) or None,
            use_rslora=self.rslora,
            use_dora=self.dora,
            fan_in_fan_out=found.turned,
            task_type="CAUSAL_LM",
            bias="none",
        )
        return _adapters.fresh(model, config, seed=seed)

    def trainable(self, shape: Shape) -> int:
        """Weights of A and B, and with dora one length for every output."""
        (rank,) = _adapters.filled(self.rank)
        found = _adapters.found_by_shape(shape, self.roles, Bands.upper(shape.layers, self.upper).adapted_layers)
        self._check(found)
        names = [*(f"{name}.weight" for name in found.linear), *found.experts]
        total = _adapters.low_rank_weights(shape.weights, names, rank)
        if self.dora:
            outputs = {w.name: w.shape[1 if w.kind == "turned" else 0] for w in shape.weights if len(w.shape) == 2}
            total += sum(outputs[name] for name in names)
        return total

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("lora", self)

    def rate_factor(self, name: str) -> float:
        """`lora_plus` for every B, 1 for the rest."""
        return self.lora_plus if ".lora_B." in name else 1.0

    def _check(self, found: Any) -> None:
        _adapters.refuse_dropout(found, self.dropout)
        if found.parameters and self.dora:
            raise ValueError("dora cannot be used on models with routed experts; set tune.strategy.dora to false")
