"""What the linear layers of an architecture are for: roles -> module names, from the data file `roles.json`.

Multi-head latent attention (DeepSeek V2/V3) squeezes queries, and keys with values, through two matrices each, so
`query` names both, and `key` and `value` name the same two. Routed experts lie in fused parameters [expert, out, in];
they have the role `experts`, which is not part of `gate`, `up` and `down` (those are the dense layers and the shared
experts), because an adapter on them costs as much per step as all experts together.

For models with fused experts PEFT reads every module name that ends in `gate_proj`, `up_proj` or `down_proj` as the
routed experts, so the dense and shared ones are named there by their weights (`down_proj.weight`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Role = Literal["query", "key", "value", "output", "gate", "up", "down", "experts"]
ROLES: tuple[Role, ...] = get_args(Role)
DENSE_ROLES: tuple[Role, ...] = tuple(role for role in ROLES if role != "experts")

_TAKEN_FOR_EXPERTS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Targets:
    """The weights that carry given roles in given layers.

    Args:
        modules: full names of linear layers (`model.layers.3.self_attn.q_proj`), in the model's order.
        parameters: full names of weights that must be named themselves (`model.layers.3.mlp.experts.down_proj`).
        generic: the architecture is not in the table, so the roles could not be told apart: all linear layers.
    """

    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    generic: bool = False


def names_for(model_type: str, roles: Iterable[Role]) -> tuple[str, ...] | None:
    """The module name endings for `roles`, without doubles; None for an architecture that is not in the table."""
    table = _table()
    family = table["architectures"].get(model_type)
    if family is None:
        return None
    return tuple(dict.fromkeys(name for role in roles for name in table["families"][family][role]))


def targets(model: Any, roles: Iterable[Role], layers: Iterable[int]) -> Targets:
    """Which weights of `model` carry `roles` in the given layers.

    Args:
        model: a causal LM of Transformers without adapter.
        roles: what to look for.
        layers: layer numbers, from the bottom.

    Raises:
        ValueError: nothing matches.
    """
    roles, wanted = tuple(roles), set(layers)
    model_type = model.config.model_type
    endings = names_for(model_type, roles)
    linear = [name for name, module in model.named_modules() if _is_linear(module) and layer_of(name) in wanted]
    if endings is None:
        found = Targets(tuple(linear), (), generic=True)
    else:
        by_weight = _TAKEN_FOR_EXPERTS if model_type in _table()["fused_experts"] else ()
        modules = [name for name in linear if _ends(name, endings)]
        fused = names_for(model_type, [role for role in roles if role == "experts"]) or ()
        weights = (name for name, weight in model.named_parameters() if weight.ndim == 3 and layer_of(name) in wanted)
        parameters = [f"{name}.weight" for name in modules if _ends(name, by_weight)]
        parameters += [name for name in weights if _ends(name, fused)]
        found = Targets(tuple(name for name in modules if not _ends(name, by_weight)), tuple(parameters))
    if not found.modules and not found.parameters:
        raise ValueError(f"no weight of {model_type} has the roles {', '.join(roles)} in these layers")
    return found


def layer_of(name: str) -> int | None:
    """The layer number in a full module name: the first part that is a number."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), None)


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return any(name == ending or name.endswith("." + ending) for ending in endings)


def _is_linear(module: Any) -> bool:
    """`nn.Linear`, and GPT-2's `Conv1D`, which is one with its weight turned."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("tunesmith.models").joinpath("roles.json").read_text(encoding="utf-8"))
    return table
