"""AdamW, the learning-rate schedule, and the state that a resumed run needs of them."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

Schedule = Literal["linear", "cosine", "constant"]


def learning_rate_share(step: int, steps: int, *, warmup: float, schedule: Schedule) -> float:
    """The learning rate of step `step` (counted from 0) of `steps`, as a share of its peak.

    The first w = ceil(warmup * steps) steps rise linearly, (step + 1) / w. With n = steps - w and k = step - w the
    others fall as (n - k) / n (linear), (1 + cos(pi k / n)) / 2 (cosine), or stay at 1; no step has rate 0.
    """
    warm = math.ceil(warmup * steps - 1e-9)
    if step < warm:
        return (step + 1) / warm
    left, gone = steps - warm, step - warm
    if schedule == "linear":
        return (left - gone) / left
    return (1 + math.cos(math.pi * gone / left)) / 2 if schedule == "cosine" else 1.0


def trained_weights(model: Any) -> dict[str, Tensor]:
    """Name -> weight of everything that is trained, in the model's order."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def adamw(weights: dict[str, Tensor], *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in PyTorch's fused form, betas 0.9 and 0.999."""
    return torch.optim.AdamW(weights.values(), lr=learning_rate, weight_decay=weight_decay, fused=True)


def state_tensors(weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of the trained weights, the optimiser's state and torch's random states, under one name each."""
    tensors = {f"weight/{name}": weight.detach().clone() for name, weight in weights.items()}
    for name, weight in weights.items():
        tensors |= {f"{key}/{name}": value.detach().clone() for key, value in optimiser.state[weight].items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore_tensors(tensors: dict[str, Tensor], weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
    """Put back what `state_tensors` copied: bit for bit."""
    for name, weight in weights.items():
        with torch.no_grad():
            weight.copy_(tensors[f"weight/{name}"])
        keys = [key.partition("/")[0] for key in tensors if key.endswith(f"/{name}") and not key.startswith("weight/")]
        optimiser.state[weight] = {key: tensors[f"{key}/{name}"].to(weight.device) for key in keys}
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
