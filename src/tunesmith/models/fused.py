"""Norms, rotations and gated activations by Liger's Triton kernels (Hsu et al. 2024, arXiv:2410.10989), on CUDA.

Liger knows which architecture takes which kernel; it also replaces names in Transformers' modules, for every model that
is loaded later, on whatever device. Here only the model at hand is changed. Its losses are not used: see
`tune.kernels`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

LIBRARY = "liger_kernel"
ROTATION = "apply_rotary_pos_emb"

TOKENS = 16
"""Of a trial."""

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""How far logits may move, as a share of the largest: rounding, not another result."""


def installed() -> bool:
    """Whether Liger is there; imports nothing."""
    return find_spec(LIBRARY) is not None


def fuse(model: Any, put_in: Callable[..., None] | None = None) -> str:
    """Give `model` Liger's kernels if it answers the same with them; else leave it as it was.

    Args:
        model: a causal LM of Transformers on a GPU, before any adapter; changed in place.
        put_in: what changes a model, called as Liger's own function is; None: that one.

    Returns:
        In words why it has none of them ("" where it has).
    """
    if any(weight.ndim == 3 for weight in model.parameters()):
        return "models with routed experts are left as they are"
    ids = torch.arange(TOKENS, device=model.device)[None] % model.config.get_text_config().vocab_size
    names = vars(sys.modules[type(model).__module__])
    before, own = dict(names), {id(module): {*vars(module)} for module in model.modules()}
    with torch.no_grad():
        wanted = model(input_ids=ids, use_cache=False).logits
        try:
            (put_in or _liger())(model=model, cross_entropy=False, fused_linear_cross_entropy=False)
            fused = dict(names)
            names.update(before)
            if fused.get(ROTATION) is not before.get(ROTATION):
                names[ROTATION] = _by_device(fused[ROTATION], before[ROTATION])
            got = model(input_ids=ids, use_cache=False).logits
        except Exception as error:  # of Triton, of a compiler, of a version that does not fit: all of them end here
            _put_back(model, own, before)
            return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    off = float((got.float() - wanted.float()).abs().max() / wanted.float().abs().max().clamp_min(1e-6))
    if not off <= TOLERANCE.get(wanted.dtype, 0.1):
        _put_back(model, own, before)
        return f"logits with them differ by {off:.1%}"
    return "" if any("forward" in vars(module) for module in model.modules()) else "this architecture has none"


def _liger() -> Callable[..., None]:
    from liger_kernel.transformers import _apply_liger_kernel_to_instance

    put_in: Callable[..., None] = _apply_liger_kernel_to_instance
    return put_in


def _by_device(on_gpu: Callable[..., Any], elsewhere: Callable[..., Any]) -> Callable[..., Any]:
    """The rotation for a model on any device: architectures share one function, and Triton runs on GPUs only."""

    def rotated(query: Any, key: Any, *others: Any, **named: Any) -> Any:
        return (on_gpu if query.is_cuda else elsewhere)(query, key, *others, **named)

    return rotated


def _put_back(model: Any, own: dict[int, set[str]], before: dict[str, Any]) -> None:
    vars(sys.modules[type(model).__module__]).update(before)
    for module in model.modules():
        for name in {*vars(module)} - own[id(module)]:
            delattr(module, name)
