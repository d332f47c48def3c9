"""AdamW, the learning-rate schedule, and the state that a resumed run needs of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

Schedule = Literal["linear", "cosine", "constant"]
ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")


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


def adamw(
    weights: dict[str, Tensor],
    *,
    learning_rate: float,
    weight_decay: float,
    rate_of: Callable[[str], float] | None = None,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in PyTorch's fused form, betas 0.9 and 0.999.

    Args:
        weights: what is trained, by name.
        learning_rate: the peak.
        weight_decay: decoupled; weights with one axis (norms, biases) have none.
        rate_of: weight name -> factor on the learning rate; each group of equal factors keeps it under `factor`.

    Raises:
        ValueError: a weight has 16 bits, in which most updates would be rounded away; see `tune.precision`.
    """
    if short := [name for name, weight in weights.items() if weight.dtype.itemsize < 4]:
        raise ValueError(f"{short[0]} and {len(short) - 1} more trained weights are not in float32")
    groups: dict[tuple[float, float, bool], list[Tensor]] = {}
    for name, weight in weights.items():
        decay = weight_decay if weight.ndim > 1 else 0.0
        parted = isinstance(weight, DTensor)  # one fused call takes only one kind
        groups.setdefault((rate_of(name) if rate_of else 1.0, decay, parted), []).append(weight)
    settings = [
        {"params": parts, "lr": learning_rate * factor, "factor": factor, "weight_decay": decay}
        for (factor, decay, _), parts in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=learning_rate, fused=True)


def state_tensors(weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The trained weights, the optimiser's state and torch's random states, under one name each, to be written at once.

    They are no copies, but for those that lie in parts, which are gathered whole: every process must ask.
    """
    tensors = {f"weight/{name}": whole(weight) for name, weight in weights.items()}
    for name, weight in weights.items():
        tensors |= {f"{key}/{name}": whole(value) for key, value in optimiser.state[weight].items()}
    return tensors | {f"random/{name}": value for name, value in random_state().items()}


def restore_tensors(tensors: dict[str, Tensor], weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
    """Put back what `state_tensors` gave: bit for bit."""
    for name, weight in weights.items():
        with torch.no_grad():
            weight.copy_(parted_like(weight, tensors[f"weight/{name}"]))
        found = {key: tensors[f"{key}/{name}"] for key in ADAM_STATE if f"{key}/{name}" in tensors}
        if found:
            optimiser.state[weight] = {key: parted_like(weight, value) for key, value in found.items()}
        else:  # saved before the first step
            optimiser.state.pop(weight, None)
    restore_random({name: tensors[f"random/{name}"] for name in ("cpu", "cuda") if f"random/{name}" in tensors})


def whole(weight: Tensor) -> Tensor:
    """`weight` itself, or a copy of one that lies in parts, gathered from all processes, which must all ask."""
    full: Tensor = weight.full_tensor() if isinstance(weight, DTensor) else weight
    return full.detach()


def parted_like(weight: Tensor, found: Tensor) -> Tensor:
    """`found` on the device of `weight`; where that lies in parts, this process's part of `found`, which all have.

    AdamW's own count of steps, which has another shape than its weight, is whole everywhere.
    """
    placed = found.to(weight.device)
    if not isinstance(weight, DTensor) or found.shape != weight.shape:
        return placed
    return distribute_tensor(placed, weight.device_mesh, weight.placements, src_data_rank=None)


def random_state() -> dict[str, Tensor]:
    """Torch's global random states, by kind of device."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_random(state: Mapping[str, Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
