"""Linear layers in 8-bit integers on a processor: weights rounded once, activations as they come.

Each row of a weight matrix has a scale of its own, and so has each row of activations ("vector-wise", LLM.int8(),
Dettmers et al. 2022, arXiv:2208.07339, section 3.1), so a large value spoils its own row only, and what a row comes to
does not depend on the rows beside it. Products of integers are summed exactly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 127


def rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """`rows` [..., D] as int8 [..., D] and the float32 scales [..., 1] that they are to be multiplied by."""
    rows = rows.float()
    scales = rows.abs().amax(-1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny).div_(LARGEST)
    return (rows / scales).round_().to(torch.int8), scales


class Int8Linear(nn.Module):
    """A linear layer whose product is computed in integers; takes and gives floating point, never trained.

    Args:
        linear: what it stands for; its weights are read and not kept.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scales = rounded(linear.weight.detach())
        self.rounded: Tensor
        self.scales: Tensor
        self.register_buffer("rounded", weight)
        self.register_buffer("scales", scales.T.contiguous())
        self.bias = linear.bias

    def forward(self, states: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features], in the type of `states`."""
        rows, scales = rounded(states.reshape(-1, self.in_features))
        made = torch._int_mm(rows, self.rounded.T).float().mul_(scales).mul_(self.scales)
        if self.bias is not None:
            made += self.bias
        return made.view(*states.shape[:-1], self.out_features).to(states.dtype)


def convert(model: Any) -> int:
    """Let the linear layers of `model`, its head too, compute in 8 bits; how many that are.

    Embeddings, norms, routers, and experts that are no linear layers of their own keep their numbers. A head that
    shares its weights with the embedding is rounded by itself.

    Args:
        model: a causal LM of Transformers without an adapter; its linear layers are replaced.
    """
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and name not in _ROUTERS
    ]
    for parent, name in places:  # one by one, and none is kept: a model lies in memory once
        setattr(parent, name, Int8Linear(getattr(parent, name)))
    return len(places)


_ROUTERS = ("gate", "router")
"""A router's choice of experts jumps with the smallest change of its numbers."""
