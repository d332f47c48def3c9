"""QLoRA: LoRA on a base that is kept in 4 bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunesmith.models.roles import Weight, weights_of
from tunesmith.tune.bands import WeightFormat
from tunesmith.tune.strategies import _adapters
from tunesmith.tune.strategies._adapters import Alpha, Rank, Roles
from tunesmith.tune.strategies.lora import Lora

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


@dataclass(frozen=True)
class Qlora:
    """LoRA on a frozen base in 4-bit NormalFloat (Dettmers et al. 2023, arXiv:2305.14314, eq. 5), by bitsandbytes.

    The base takes a quarter of the memory of 16-bit weights and is unpacked in every product, which costs time. The
    expert is served on, and merged into, the very same 4-bit weights, because it was trained to mend their error.

    Args:
        rank: r of the update B A; `auto`: from the rule table.
        alpha: the update is scaled by alpha / rank; `auto`: from the rule table.
        dropout: probability of dropping an adapter's input.
        roles: linear layers that are adapted: `all`, `attention` (query, key, value), or a list; see `models.roles`.
        upper: share of the layers, counted from the top, that are adapted; at least one is. 1, all, by the paper's
            section 4: adapters in every layer are what makes up for the 4 bits.
    """

    rank: Rank = "auto"
    alpha: Alpha = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    roles: Roles = "all"
    upper: Annotated[float, Field(gt=0, le=1)] = 1.0

    weight_format: ClassVar[WeightFormat] = "nf4"
    beside: ClassVar[bool] = True

    def border(self, layers: int) -> int:
        """Number of the lowest adapted layer: 30 layers and upper 0.5 give 15."""
        return self._lora.border(layers)

    def apply(self, model: Any, *, seed: int) -> Any:
        """A PEFT model with a fresh adapter on the 4-bit `model`. See `Strategy.apply`.

        Raises:
            ValueError: rank or alpha is still `auto`; no weight has the roles; the model is not in 4 bits, or has
                routed experts.
        """
        if not getattr(model, "is_loaded_in_4bit", False):
            raise ValueError("the base has to be loaded in 4 bits (nf4) before qlora is put on it")
        _refuse_experts(weights_of(model))
        return self._lora.apply(model, seed=seed)

    def trainable(self, shape: Shape) -> int:
        """Weights of A and B."""
        _refuse_experts(shape.weights)
        return self._lora.trainable(shape)

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("qlora", self)

    def rate_factor(self, name: str) -> float:
        """1 for every weight."""
        return 1.0

    @property
    def _lora(self) -> Lora:
        return Lora(self.rank, self.alpha, dropout=self.dropout, roles=self.roles, upper=self.upper)


def _refuse_experts(weights: Iterable[Weight]) -> None:
    """Only linear layers are packed; routed experts, nearly all of such a model, are none in Transformers."""
    if any(len(weight.shape) == 3 for weight in weights):
        raise ValueError("qlora would leave the routed experts, most of this model, in 16 bits; use lora")
