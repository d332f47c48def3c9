"""Linear layers whose weights lie as the processor's matrix kernels read them.

oneDNN multiplies a matrix in blocks. Given plain rows it sorts them into blocks in each call, which for the few tokens
of decoding takes longer than the product; here that is done once (as `torch.compile` does for weights that it may
freeze). The numbers stay the same: bfloat16 gives the same bits, float32 other rounding of the last one.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import Tensor, nn

_DTYPES = (torch.float32, torch.bfloat16)
_ROWS = 8
"""Rows that the blocks are made for; other numbers read the same blocks."""


def can_pack() -> bool:
    """Whether torch packs weights here: with oneDNN on an x86 processor, where it was measured."""
    known = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return known and built and platform.machine().lower() in ("x86_64", "amd64")


class PackedLinear(nn.Module):
    """A linear layer with packed weights, never trained.

    Args:
        linear: what it stands for, in float32 or bfloat16 on the processor; its weights are read and not kept.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = linear.bias

    def forward(self, states: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features], in the type of `states`, which is that of the weights."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(states, self._packed, self.bias, "none", [], "")
        return made


@torch.inference_mode()
def pack(model: Any) -> int:
    """Pack the linear layers of `model`, its head too; how many that are.

    A head that shares its weights with the embedding has a packed copy of its own besides.

    Args:
        model: a causal LM of Transformers on the processor, without an adapter beside it; it is not trained after this.
    """
    places = [(parent, name) for parent in model.modules() for name, child in parent.named_children() if _fits(child)]
    for parent, name in places:  # one by one, and none is kept: a model lies in memory once
        setattr(parent, name, PackedLinear(getattr(parent, name)))
    return len(places)


def _fits(child: nn.Module) -> bool:
    if type(child) is not nn.Linear:
        return False
    return child.weight.dtype in _DTYPES and child.weight.device.type == "cpu"
