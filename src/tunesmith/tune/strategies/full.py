"""Full tuning: all weights of the layers, no adapter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunesmith.models.roles import Weight, weights_of
from tunesmith.tune.bands import WeightFormat
from tunesmith.tune.strategies import _adapters

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


@dataclass(frozen=True)
class Full:
    """All weights of the layers and the final norm are trained; the checkpoint is a whole model folder.

    Embedding and head stay frozen unless asked for: they are a fifth and more of a small model, most of their rows
    belong to tokens that the training rows never show, and a tied head would be pulled by both of its uses. Weights
    that no gradient can reach (the indexer of DeepSeek's sparse attention chooses by a top-k) are always frozen.

    Args:
        head: `trained`: embedding and head are trained too.
    """

    head: Literal["frozen", "trained"] = "frozen"

    weight_format: ClassVar[WeightFormat] = "plain"
    beside: ClassVar[bool] = False

    def border(self, layers: int) -> int:
        """0: the lowest layer is trained."""
        return 0

    def apply(self, model: Any, *, seed: int) -> Any:
        """`model` itself; there is nothing that the seed could decide. See `Strategy.apply`."""
        frozen = {weight.name for weight in self._frozen(weights_of(model))}
        for name, weight in model.named_parameters():
            weight.requires_grad_(name not in frozen)
        return model

    def trainable(self, shape: Shape) -> int:
        """All weights but those of embedding, head and selectors."""
        whole = sum(weight.size for weight in shape.weights)
        return whole - sum(weight.size for weight in self._frozen(shape.weights))

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("full", self)

    def rate_factor(self, name: str) -> float:
        """1 for every weight."""
        return 1.0

    def _frozen(self, weights: Iterable[Weight]) -> list[Weight]:
        kinds = {"selector"} if self.head == "trained" else {"selector", "embedding", "head"}
        return [weight for weight in weights if weight.kind in kinds]
