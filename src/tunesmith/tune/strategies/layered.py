"""Three bands of depth: a frozen bottom, an adapted middle, a top that is trained whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from tunesmith.models.roles import ROLES, Targets
from tunesmith.tune.bands import Bands, WeightFormat
from tunesmith.tune.strategies import _adapters
from tunesmith.tune.strategies._adapters import Alpha, Rank, Roles

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


@dataclass(frozen=True)
class Layered:
    """The bottom 70 % of the layers frozen, the next 20 % adapted by LoRA, the top 10 % trained whole.

    What is kept is one PEFT adapter: the low-rank updates of the middle, and the linear layers of the top as
    `modules_to_save`. PEFT keeps the base's own layers beside those, so switching the adapter off still gives the base.
    Norms and routers stay frozen, and a tied head stays with its embedding: trained, it would pull at the bottom.

    Args:
        frozen: share of the layers at the bottom that is frozen; their states are computed once a run.
        adapted: share of the layers above them that is adapted; what is left at the top is trained whole, nothing where
            both add up to 1.
        rank: r of the middle's updates B A; `auto`: from the rule table.
        alpha: they are scaled by alpha / rank; `auto`: from the rule table.
        roles: what is adapted in the middle: a list of roles (see `models.roles`), `all`, or `attention`.
        adapter_rate: learning rate of the middle over that of the top: an adapter learns best at about ten times the
            rate of full tuning (Schulman et al. 2025, LoRA Without Regret).
        head: `trained`: the head is trained too, as a matrix of its own where the base has it tied.
    """

    frozen: Annotated[float, Field(ge=0, lt=1)] = 0.7
    adapted: Annotated[float, Field(ge=0, le=1)] = 0.2
    rank: Rank = "auto"
    alpha: Alpha = "auto"
    roles: Roles = ("query", "key")
    adapter_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    head: Literal["frozen", "trained"] = "frozen"

    weight_format: ClassVar[WeightFormat] = "plain"
    beside: ClassVar[bool] = True

    def border(self, layers: int) -> int:
        """Number of the lowest layer that is not frozen: 21 of 30."""
        return self._bands(layers).frozen

    def apply(self, model: Any, *, seed: int) -> Any:
        """A PEFT model; see `Strategy.apply`.

        Raises:
            ValueError: rank or alpha is still `auto`; no weight in the middle has the roles.
        """
        from peft import LoraConfig
        from peft.utils.constants import DUMMY_TARGET_MODULES

        rank, alpha = _adapters.filled(self.rank, self.alpha)
        bands = self._bands(_adapters.layers_of(model))
        middle = Targets(())
        if bands.adapted:
            middle = _adapters.found_in(model, self.roles, bands.adapted_layers)
        top = _whole(_adapters.found_in(model, ROLES, bands.whole_layers)) if bands.whole_layers else []
        if self.head == "trained":
            top.append(_name_of(model, model.get_output_embeddings()))
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules=list(middle.modules) or ([] if middle.parameters else DUMMY_TARGET_MODULES),
            target_parameters=list(middle.parameters) or None,
            modules_to_save=top or None,
            fan_in_fan_out=middle.turned,
            task_type="CAUSAL_LM",
            bias="none",
        )
        return _adapters.fresh(model, config, seed=seed)

    def trainable(self, shape: Shape) -> int:
        """Weights of the middle's A and B, and all of the top's linear layers with their biases."""
        (rank,) = _adapters.filled(self.rank)
        bands = self._bands(shape.layers)
        total = shape.vocabulary * shape.hidden if self.head == "trained" else 0
        if bands.adapted:
            found = _adapters.found_by_shape(shape, self.roles, bands.adapted_layers)
            names = [*(f"{name}.weight" for name in found.linear), *found.experts]
            total += _adapters.low_rank_weights(shape.weights, names, rank)
        if bands.whole_layers:
            whole = _whole(_adapters.found_by_shape(shape, ROLES, bands.whole_layers))
            total += sum(weight.size for weight in shape.weights if weight.name.rpartition(".")[0] in whole)
        return total

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return _adapters.settings_of("layered", self)

    def rate_factor(self, name: str) -> float:
        """`adapter_rate` for the middle, 1 for the top."""
        return self.adapter_rate if ".lora_" in name else 1.0

    def _bands(self, layers: int) -> Bands:
        return Bands.of_shares(layers, frozen=self.frozen, adapted=self.adapted)


def _whole(found: Targets) -> list[str]:
    """The modules that are trained whole: linear layers, and those that hold the routed experts' weights."""
    return list(dict.fromkeys([*found.linear, *(name.rpartition(".")[0] for name in found.experts)]))


def _name_of(model: Any, module: Any) -> str:
    return next(str(name) for name, found in model.named_modules() if found is module)
