"""The grammar of every strategy: which band of depth is frozen, which is adapted, which is trained whole.

Layers are counted from the bottom. A strategy is a preset of three bands, and says how the middle one is adapted:

| strategy  | frozen     | adapted           | whole          |
|-----------|------------|-------------------|----------------|
| full      | -          | -                 | all            |
| lora      | the lower  | the upper         | -              |
| qlora     | the lower  | the upper, 4 bits | -              |
| blockwise | the lower  | the upper         | -              |
| adaptive  | the lower  | the upper         | -              |
| layered   | bottom 70% | next 20%          | top 10%        |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from tunesmith.tune.objective import Companion

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

WeightFormat = Literal["plain", "nf4"]
"""How the frozen base is loaded: as numbers, or as 4-bit NormalFloat with a scale for every 64 (bitsandbytes)."""


class Strategy(Protocol):
    """A component of the shelf `strategies`: a frozen dataclass whose fields are its settings."""

    weight_format: ClassVar[WeightFormat]
    """How the base must be loaded before `apply`."""

    beside: ClassVar[bool]
    """Whether the trained weights stand beside the model's own (an adapter), or are the model's own."""

    def border(self, layers: int) -> int:
        """Number of the lowest of `layers` layers that has a trained weight; nothing below needs a gradient."""
        ...

    def apply(self, model: Any, *, seed: int) -> Any:
        """`model` (frozen, changed in place) with the weights that are trained, and they alone, requiring gradient.

        A PEFT model, or `model` itself. It answers as before; modules stay in evaluation mode but for an adapter's
        dropout; the seed decides the start; torch's global random state is left as it was.

        Raises:
            ValueError: a setting is still `auto`, or the strategy does not fit this architecture, and why.
        """
        ...

    def trainable(self, shape: Shape) -> int:
        """Number of weights that `apply` will train; ValueError where `apply` would refuse the architecture."""
        ...

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name under `use`."""
        ...

    def rate_factor(self, name: str) -> float:
        """What the learning rate is multiplied with for the trained weight called `name` (in `named_parameters`)."""
        ...


@runtime_checkable
class Moving(Protocol):
    """A strategy that changes during training; the others do not have this method."""

    def running(self, adapted: Any, *, steps: int) -> Companion:
        """What goes along with one training of `steps` optimiser steps; `adapted` is what `apply` gave."""
        ...


@dataclass(frozen=True)
class Bands:
    """Three bands of depth.

    Args:
        layers: how many the model has.
        frozen: how many at the bottom are frozen.
        adapted: how many above them are adapted; the rest are trained whole.
    """

    layers: int
    frozen: int
    adapted: int

    @classmethod
    def of_shares(cls, layers: int, *, frozen: float, adapted: float) -> Bands:
        """Bands by shares of the depth, cut at whole layers: 30 layers at 0.7 and 0.2 give 21, 6 and 3.

        With `frozen` below 1 at least one layer is not frozen; with a sum below 1 at least one is trained whole.
        """
        bottom = math.floor(layers * frozen + 1e-9)
        top = min(layers, math.floor(layers * (frozen + adapted) + 1e-9))
        return cls(layers, bottom, top - bottom)

    @classmethod
    def upper(cls, layers: int, share: float) -> Bands:
        """The upper `share` adapted, at least one layer: 30 layers at 0.5 give 15 frozen and 15 adapted."""
        adapted = max(1, math.ceil(layers * share - 1e-9))
        return cls(layers, layers - adapted, adapted)

    @property
    def adapted_layers(self) -> range:
        """Numbers of the adapted layers."""
        return range(self.frozen, self.frozen + self.adapted)

    @property
    def whole_layers(self) -> range:
        """Numbers of the layers that are trained whole."""
        return range(self.frozen + self.adapted, self.layers)
