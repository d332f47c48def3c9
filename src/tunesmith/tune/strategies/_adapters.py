"""What the strategies that adapt layers share: roles by a short name, a fresh adapter, the number of its weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith.models.roles import DENSE_ROLES, Role, Targets, Weight, targets, targets_among

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

Roles = Literal["all", "attention"] | Annotated[tuple[Role, ...], Field(min_length=1)]
"""`all`: every linear layer but routed experts; `attention`: query, key and value; or a list of roles."""

Rank = Annotated[int, Field(ge=1)] | Literal["auto"]
Alpha = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"]


def named(roles: Roles) -> tuple[Role, ...]:
    """The roles behind a short name."""
    if roles == "all":
        return DENSE_ROLES
    return ("query", "key", "value") if roles == "attention" else tuple(roles)


def filled(*values: Any) -> tuple[Any, ...]:
    """`values`, none of which may still be `auto`.

    Raises:
        ValueError: one is.
    """
    if "auto" in values:
        raise ValueError("rank and alpha must be filled from the rule table first")
    return values


def settings_of(name: str, strategy: Any) -> dict[str, Any]:
    """The settings of a strategy as JSON values."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(strategy).items()}
    return {"use": name, **values}


def layers_of(model: Any) -> int:
    """Number of layers of a causal LM."""
    return int(model.config.get_text_config().num_hidden_layers)


def found_in(model: Any, roles: Roles, layers: Iterable[int]) -> Targets:
    """The targets of `roles` in a model; ValueError where there are none."""
    return targets(model, named(roles), layers)


def found_by_shape(shape: Shape, roles: Roles, layers: Iterable[int]) -> Targets:
    """The same where only names and shapes of the weights are known."""
    return targets_among(shape.weights, shape.model_type, roles=named(roles), layers=layers)


def fresh(model: Any, config: Any, *, seed: int) -> Any:
    """`model` with a fresh adapter after `config`, drawn from `seed`; only dropout layers are in training mode."""
    import torch

    from tunesmith.models.adapters import put_on

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = put_on(model, config)
    adapted.eval()
    for name, module in adapted.named_modules():
        if name.rpartition(".")[2] == "lora_dropout":
            module.train()
    return adapted


def refuse_dropout(found: Targets, dropout: float) -> None:
    """PEFT drops inputs of modules only.

    Raises:
        ValueError: dropout is asked for where weights are adapted by name.
    """
    if found.parameters and dropout:
        raise ValueError("dropout cannot be used on models with routed experts; set tune.strategy.dropout to 0")


def low_rank_weights(weights: Iterable[Weight], names: Iterable[str], rank: int) -> int:
    """Weights of a rank-`rank` update of the matrices with these names: rank (inputs + outputs) each, per expert."""
    shapes = {weight.name: weight.shape for weight in weights}
    total = 0
    for name in names:
        *experts, outputs, inputs = shapes[name]
        total += (experts[0] if experts else 1) * rank * (inputs + outputs)
    return total
