"""Block-wise low-rank updates of the feed-forward part: every block of neurons learns on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunesmith.models.roles import Role, Targets, Weight, names_for, weights_of
from tunesmith.tune.bands import Bands, WeightFormat
from tunesmith.tune.strategies import _adapters
from tunesmith.tune.strategies._adapters import Alpha, Rank

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

_ROLES: tuple[Role, ...] = ("gate", "up", "down", "experts")


@dataclass(frozen=True)
class Blockwise:
    """The feed-forward matrices cut into blocks of inner neurons, each block with a low-rank update of its own.

    PEFT's block-diagonal LoRA (Wang et al. 2025, arXiv:2510.23346): `gate` and `up` are cut by their outputs (B is
    block-diagonal), `down` by its inputs (A is), so block k of all three belongs to the same neurons and
    dW_k = B_k A_k shares nothing with the other blocks. It serves because it loads and merges in plain PEFT.

    In a mixture of experts the routed experts are the blocks: each has an update of its own. PEFT does not mix its
    block-diagonal form with adapted experts, so dense layers and shared experts are one block each there.

    Args:
        blocks: number of blocks that each matrix is cut into.
        rank: r of one block's update; `auto`: from the rule table.
        alpha: a block's update is scaled by alpha / rank; `auto`: from the rule table.
        dropout: probability of dropping an adapter's input.
        upper: share of the layers, counted from the top, that are adapted; 1: all. At least one layer is.
    """

    blocks: Annotated[int, Field(ge=2)] = 4
    rank: Rank = "auto"
    alpha: Alpha = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    upper: Annotated[float, Field(gt=0, le=1)] = 0.5

    weight_format: ClassVar[WeightFormat] = "plain"
    beside: ClassVar[bool] = True

    def border(self, layers: int) -> int:
        """Number of the lowest adapted layer: 30 layers and upper 0.5 give 15."""
        return Bands.upper(layers, self.upper).frozen

    def apply(self, model: Any, *, seed: int) -> Any:
        """A PEFT model with a fresh adapter: A is random, B is zero. See `Strategy.apply`.

        Raises:
            ValueError: rank or alpha is still `auto`; which layers are the feed-forward part is not known; a matrix
                cannot be cut into so many blocks; dropout is asked for on a model with routed experts.
        """
        from peft import LoraConfig
        from peft.tuners.lora.config import BdLoraConfig

        rank, alpha = _adapters.filled(self.rank, self.alpha)
        bands = Bands.upper(_adapters.layers_of(model), self.upper)
        found, model_type = _adapters.found_in(model, _ROLES, bands.adapted_layers), model.config.model_type
        self._weights(weights_of(model), found, model_type=model_type, rank=rank)  # refuses what cannot be cut
        cut = BdLoraConfig(
            target_modules_bd_a=list(names_for(model_type, ["down"]) or ()),
            target_modules_bd_b=list(names_for(model_type, ["gate", "up"]) or ()),
            nblocks=self.blocks,
        )
        blocks = 1 if found.parameters else self.blocks  # PEFT's rank counts all blocks of a matrix
        config = LoraConfig(
            r=rank * blocks,
            lora_alpha=alpha * blocks,
            lora_dropout=self.dropout,
            target_modules=list(found.modules),
            target_parameters=list(found.parameters) or None,
            use_bdlora=None if found.parameters else cut,
            task_type="CAUSAL_LM",
            bias="none",
        )
        return _adapters.fresh(model, config, seed=seed)

    def trainable(self, shape: Shape) -> int:
        """Of a matrix cut by outputs: rank (blocks x inputs + outputs); by inputs: rank (inputs + blocks x outputs)."""
        (rank,) = _adapters.filled(self.rank)
        found = _adapters.found_by_shape(shape, _ROLES, Bands.upper(shape.layers, self.upper).adapted_layers)
        return self._weights(shape.weights, found, model_type=shape.model_type, rank=rank)

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("blockwise", self)

    def rate_factor(self, name: str) -> float:
        """1 for every weight."""
        return 1.0

    def _weights(self, weights: Sequence[Weight], found: Targets, *, model_type: str, rank: int) -> int:
        """Weights of the update; ValueError where a matrix cannot be cut."""
        _adapters.refuse_dropout(found, self.dropout)
        if found.generic:
            raise ValueError("which layers are the feed-forward part of this architecture is not known; use lora")
        names = [f"{name}.weight" for name in found.linear]
        if found.parameters:
            return _adapters.low_rank_weights(weights, [*names, *found.experts], rank)
        by_name = {weight.name: weight for weight in weights}
        down = names_for(model_type, ["down"]) or ()
        by_inputs = {name for name in names if name.removesuffix(".weight").endswith(down)}
        return rank * sum(self._per_rank(by_name[name], by_inputs=name in by_inputs) for name in names)

    def _per_rank(self, weight: Weight, *, by_inputs: bool) -> int:
        outputs, inputs = weight.shape
        if weight.kind == "turned":
            raise ValueError("PEFT's block-diagonal LoRA cannot cut this architecture's layers (Conv1D); use lora")
        if (inputs if by_inputs else outputs) % self.blocks:
            side = f"{inputs} inputs" if by_inputs else f"{outputs} outputs"
            raise ValueError(f"{weight.name} has {side}, no multiple of {self.blocks}; change tune.strategy.blocks")
        return inputs + self.blocks * outputs if by_inputs else self.blocks * inputs + outputs
