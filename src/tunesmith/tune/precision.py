"""Which type of number weights and arithmetic have.

Where arithmetic is in bfloat16, what is trained is kept in float32 all the same (Micikevicius et al. 2018,
arXiv:1710.03740, section 3.1): bfloat16 has 8 significant bits, so an update below 2^-9 of a weight would be rounded
away, and most updates late in a training are smaller. `torch.autocast` rounds the trained weights for each product, so
one model holds them both: frozen weights in bfloat16, trained ones in float32, which is also what gradients are added
up in and what AdamW, anchors and checkpoints see.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import torch
from torch import Tensor

from tunesmith.core.errors import Problem, UserError
from tunesmith.models import float8
from tunesmith.models.trunk import base_model
from tunesmith.tune.optimise import trained_weights

Precision = Literal["auto", "fp32", "bf16", "fp8"]

ROUTERS = ("gate", "router")
"""What Transformers calls the modules that choose experts."""


def device() -> str:
    """Where a training computes: `cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def computes_in_bf16(device: str) -> bool:
    """Whether the hardware has bf16 arithmetic. Emulated it is 9 to 90 times slower than fp32, so that counts as no."""
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def dtype_for(precision: Precision, device: str) -> torch.dtype:
    """The type for `precision` on `device`; `auto` takes bf16 only on accelerators that compute in it.

    A CPU with bf16 units keeps fp32 unless asked, though bf16 is faster there (docs/lab.md): fp32 is more exact, and a
    run gives the same result whichever processor the next one has.
    `fp8` is bf16 with the products of linear layers in 8 bits, see `models.float8`.

    Raises:
        UserError: bf16 or fp8 is asked for where the hardware does not compute in it; fp8 without its library.
    """
    if precision == "fp8" and (problem := float8.unusable("tune.precision")):
        raise UserError(problem)
    if precision == "bf16" and not computes_in_bf16(device):
        found = f"this machine's {device} does not compute in bf16; emulated it is many times slower than fp32"
        raise UserError(Problem("no-bf16", found, "set precision: auto", "tune.precision", value=precision))
    wanted = precision in ("bf16", "fp8") or (precision == "auto" and device != "cpu" and computes_in_bf16(device))
    return torch.bfloat16 if wanted else torch.float32


def untried(precision: Precision, device: str) -> str:
    """In words, that bf16 would be much faster here and was not asked for; "" where it would not be, or was."""
    if precision != "auto" or device != "cpu" or not torch.cpu._is_amx_tile_supported():
        return ""
    return "this processor has units for bfloat16: tune.precision = bf16 would take about half the time, less exactly"


def mix(model: Any, compute: torch.dtype, device: str) -> None:
    """Keep what is trained in float32 and let the model compute in `compute`; nothing changes where that is float32.

    Args:
        model: what a strategy's `apply` gave, its frozen weights in `compute`; changed in place.
        compute: of products and attention, in decoder and head, whoever calls them.
        device: `cuda` or `cpu`; the model may still be on its way there.
    """
    if compute == torch.float32:
        return
    for weight in trained_weights(model).values():
        weight.data = weight.data.float()
    base = base_model(model)
    for part in (base.get_decoder(), base.get_output_embeddings()):
        part.forward = torch.autocast(device, dtype=compute)(part.forward)
    for name, module in base.get_decoder().named_modules():
        if name.rpartition(".")[2] in ROUTERS and hasattr(module, "weight"):
            module.forward = _exact(module, device)
    for module in model.modules():
        # PEFT would copy inputs to float32 and keep the copies for the backward pass; autocast needs none.
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False


def _exact(router: Any, device: str) -> Callable[..., Any]:
    """The router's forward as Transformers has it, often in float32: it must choose the experts that serving will.

    Its input may come from a norm that is trained in float32; it is given it in the type of its weight.
    """
    forward: Callable[..., Any] = router.forward

    @wraps(forward)
    def exact(states: Tensor, *others: Any, **named: Any) -> Any:
        with torch.autocast(device, enabled=False):
            return forward(states.to(router.weight.dtype), *others, **named)

    return exact


def settle(model: Any, dtype: torch.dtype) -> None:
    """Round the model's own trained weights to `dtype`, that of the rest of the model, to be saved.

    Products were made with the very same rounded numbers, so what is saved answers as what was judged. Adapters stay
    float32.
    """
    adapted = hasattr(model, "peft_config")
    for name, weight in trained_weights(model).items():
        if not adapted or ".modules_to_save." in name:
            weight.data = weight.data.to(dtype)
