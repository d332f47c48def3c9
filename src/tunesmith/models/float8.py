"""Products of linear layers in 8-bit floating point, by torchao, on GPUs that have such units.

Weights, activations and gradients are scaled by row (or by column, along what is summed over) and rounded to e4m3 right
before each product, the `rowwise` recipe of torchao: one large value spoils its own row only. Weights themselves keep
their type, so what is saved is the same as without.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from tunesmith.core.errors import Problem, UserError

LIBRARY = "torchao"
CAPABILITY = (8, 9)
"""Ada; Hopper is 9.0. What came before has no units for it."""

STEP = 16
"""Rows and columns of a matrix must be multiples of this (`torch._scaled_mm`)."""


def unusable(path: str) -> Problem | None:
    """Why this machine cannot compute in 8 bits, as a problem of the setting `path`; None where it can.

    Imports neither torch nor torchao.
    """
    from tunesmith.models.hardware import look

    gpus = look().gpus
    if not gpus or gpus[0].capability < CAPABILITY:
        found = f"the {gpus[0].name} has no units for it" if gpus else "there is no GPU"
        message = f"fp8 needs an NVIDIA GPU of the Ada or Hopper generation or later; {found}"
        return Problem("no-fp8", message, "set precision: auto", path, value="fp8")
    if find_spec(LIBRARY) is None:
        message = f"fp8 needs the library '{LIBRARY}', which is not installed"
        return Problem("needs-library", message, "pip install 'tunesmith[fp8]'", path, value="fp8")
    return None


def convert(model: Any, *, emulate: bool = False) -> int:
    """Let the linear layers of `model` multiply in 8 bits; how many that are.

    Left as they are: the head, whose logits decide the loss; the small matrices of adapters; what is no plain linear
    layer (4-bit weights, routed experts, routers); and layers with a side that is no multiple of 16.

    Args:
        model: a causal LM of Transformers, with or without a PEFT adapter in it; its linear layers are replaced.
        emulate: compute what the hardware would, slowly and on any device, for tests.

    Raises:
        UserError: no layer is fit for it.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    fit = {name for name, module in model.named_modules() if _fits(name, module)}
    head = model.get_output_embeddings()
    fit -= {name for name, module in model.named_modules() if module in {*head.modules()}}
    if not fit:
        message = f"no linear layer of this model has plain weights with sides that are multiples of {STEP}"
        raise UserError(Problem("no-fp8", message, "set precision: auto", "tune.precision", value="fp8"))
    recipe = Float8LinearConfig.from_recipe_name("rowwise")
    # The product that makes a weight's gradient sums over tokens, and a packed sequence has any number of them.
    config = replace(recipe, pad_inner_dim=True, emulate=emulate)
    convert_to_float8_training(model, config=config, module_filter_fn=lambda _, name: name in fit)
    return len(fit)


def _fits(name: str, module: Any) -> bool:
    from torch import nn

    own = not any(part.startswith("lora_") or part in ("gate", "router", "original_module") for part in name.split("."))
    return own and type(module) is nn.Linear and not (module.in_features % STEP or module.out_features % STEP)
