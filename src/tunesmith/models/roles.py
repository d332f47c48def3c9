"""What the linear layers of an architecture are for: roles -> module names, from the data file `roles.json`.

Multi-head latent attention (DeepSeek V2/V3) squeezes queries, and keys with values, through two matrices each, so
`query` names both, and `key` and `value` name the same two. Routed experts lie in fused parameters [expert, out, in];
they have the role `experts`, which is not part of `gate`, `up` and `down` (those are the dense layers and the shared
experts), because an adapter on them costs as much per step as all experts together.

For models with fused experts PEFT reads every module name of a LoRA that ends in `gate_proj`, `up_proj` or `down_proj`
as the routed experts, so the dense and shared ones are named there by their weights (`down_proj.weight`).

What an architecture that is not in the table calls its layers is not known: all of its linear layers are taken.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple, get_args

Role = Literal["query", "key", "value", "output", "gate", "up", "down", "experts"]
ROLES: tuple[Role, ...] = get_args(Role)
DENSE_ROLES: tuple[Role, ...] = tuple(role for role in ROLES if role != "experts")

_TAKEN_FOR_EXPERTS = ("gate_proj", "up_proj", "down_proj")


Kind = Literal["linear", "turned", "embedding", "head", "selector", "other"]


class Weight(NamedTuple):
    """One weight of a model: its full name, its shape, and what it belongs to.

    `linear` is [outputs, inputs]; `turned` is the same the other way round, as GPT-2 keeps it; `embedding` is an
    embedding (and the head, where both are one) and `head` a head of its own; a `selector` chooses what is attended to
    by a top-k, so that no gradient ever reaches it; `other` is all else: norms, biases, routers, and the fused weights
    of routed experts [expert, outputs, inputs].
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind = "linear"

    @property
    def size(self) -> int:
        """Number of numbers in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Targets:
    """The weights that carry given roles in given layers, in the model's order.

    Args:
        linear: full names of linear layers (`model.layers.3.self_attn.q_proj`).
        experts: full names of fused experts' weights (`model.layers.3.mlp.experts.down_proj`).
        by_weight: those of `linear` that a LoRA of PEFT has to be given by the name of their weight.
        turned: whether `linear` are [inputs, outputs] (GPT-2); PEFT asks for it as `fan_in_fan_out`.
        generic: the architecture is not in the table, so the roles could not be told apart: all linear layers.
    """

    linear: tuple[str, ...]
    experts: tuple[str, ...] = ()
    by_weight: tuple[str, ...] = ()
    turned: bool = False
    generic: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """What a LoRA of PEFT is given as modules."""
        return tuple(name for name in self.linear if name not in self.by_weight)

    @property
    def parameters(self) -> tuple[str, ...]:
        """What a LoRA of PEFT is given as parameters."""
        return (*(f"{name}.weight" for name in self.by_weight), *self.experts)


def names_for(model_type: str, roles: Iterable[Role]) -> tuple[str, ...] | None:
    """The module name endings for `roles`, without doubles; None for an architecture that is not in the table."""
    table = _table()
    family = table["architectures"].get(model_type)
    if family is None:
        return None
    return tuple(dict.fromkeys(name for role in roles for name in table["families"][family][role]))


def targets(model: Any, roles: Iterable[Role], layers: Iterable[int]) -> Targets:
    """Which weights of `model`, a causal LM of Transformers without adapter, carry `roles` in the given layers.

    Raises:
        ValueError: nothing matches.
    """
    return targets_among(weights_of(model), model.config.model_type, roles=roles, layers=layers)


def targets_among(
    weights: Iterable[Weight], model_type: str, *, roles: Iterable[Role], layers: Iterable[int]
) -> Targets:
    """The same for a model of which only the names and shapes of the weights are known.

    Args:
        weights: of the whole model, in its order.
        model_type: as in its config.json.
        roles: what to look for.
        layers: layer numbers, from the bottom.

    Raises:
        ValueError: nothing matches.
    """
    roles, wanted = tuple(roles), set(layers)
    inside = [weight for weight in weights if layer_of(weight.name) in wanted]
    linear = [weight.name.removesuffix(".weight") for weight in inside if weight.kind in ("linear", "turned")]
    turned = any(weight.kind == "turned" for weight in inside)
    endings = names_for(model_type, roles)
    if endings is None:
        found = Targets(tuple(linear), turned=turned, generic=True)
    else:
        chosen = tuple(name for name in linear if _ends(name, endings))
        fused = names_for(model_type, [role for role in roles if role == "experts"]) or ()
        experts = tuple(w.name for w in inside if len(w.shape) == 3 and _ends(w.name, fused))
        mistaken = _TAKEN_FOR_EXPERTS if model_type in _table()["fused_experts"] else ()
        by_weight = tuple(name for name in chosen if _ends(name, mistaken))
        found = Targets(chosen, experts, by_weight, turned=turned)
    if not found.linear and not found.experts:
        raise ValueError(f"no weight of {model_type} has the roles {', '.join(roles)} in these layers")
    return found


def weights_of(model: Any) -> tuple[Weight, ...]:
    """Every weight of a model once, tied ones under their first name."""
    kinds: dict[str, Kind] = {}
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        kinds[f"{name}.weight"] = "head" if module is head else _kind(module)
    selectors = {*_table()["selectors"]}
    return tuple(
        Weight(name, tuple(weight.shape), "selector" if selectors & {*name.split(".")} else kinds.get(name, "other"))
        for name, weight in model.named_parameters()
    )


def layer_of(name: str) -> int | None:
    """The layer number in a full module name: the first part that is a number."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), None)


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return any(name == ending or name.endswith("." + ending) for ending in endings)


def _kind(module: Any) -> Kind:
    """What a module's weight is; a subclass of `nn.Linear` that multiplies otherwise is no linear layer here."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, Conv1D):
        return "turned"
    if isinstance(module, nn.Embedding):
        return "embedding"
    return (
        "linear" if isinstance(module, nn.Linear) and type(module).__name__ not in _table()["not_linear"] else "other"
    )


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("tunesmith.models").joinpath("roles.json").read_text(encoding="utf-8"))
    return table
