"""The decoder layers divided among processes by FSDP2, and what is needed of a weight that lies in parts.

Each process holds its part of every decoder layer and fetches a layer's other parts while it runs it. Embedding, final
norm and head stay whole everywhere: they are run outside the layers, and a head may be tied to the embedding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tunesmith.core.errors import Problem, UserError
from tunesmith.models.trunk import base_model
from tunesmith.tune.forward import Forward, PackedForward
from tunesmith.tune.objective import Companion, Objective
from tunesmith.tune.optimise import whole
from tunesmith.tune.ranks import Ranks


def shard(model: Any, ranks: Ranks, *, compute: torch.dtype = torch.float32) -> Any:
    """`model`, its decoder layers sharded over all processes, on this process's GPU where there are GPUs.

    Gradients are added up over the processes, not averaged: the terms divide by counts of the whole step.

    Args:
        model: what is trained is in float32, see `tune.precision`.
        ranks: this process and the others.
        compute: the type in which layers are gathered and run; gradients are added up in float32.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (ranks.world,))
    decoder = base_model(model).get_decoder()
    if not isinstance(getattr(decoder, "layers", None), nn.ModuleList):
        raise UserError(_unfit("this architecture has no list of layers that could be divided"))
    mixed = compute != torch.float32
    policy = MixedPrecisionPolicy(compute, torch.float32) if mixed else MixedPrecisionPolicy()
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    rest = {weight for weight in decoder.parameters() if not isinstance(weight, DTensor)}
    fully_shard(decoder, mesh=mesh, mp_policy=policy, ignored_params=rest)
    for module in (decoder, *decoder.layers):
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other
    return model.to(device)


def refuse_unfit(forward: Forward, objective: Objective, companions: Iterable[Companion]) -> None:
    """What does not go with a sharded model is told before the first step.

    Raises:
        UserError: rows cannot be packed (processes would run unequal numbers of passes), or something reads whole
            weights that lie in parts.
    """
    found = []
    if not isinstance(forward, PackedForward):
        found.append(_unfit("rows of this model are run one at a time"))
    for part in objective.parts:
        if type(part.term).penalty is not Companion.penalty:
            found.append(_unfit(f"the term {part.name} reads whole weights"))
    if any(True for _ in companions):
        found.append(_unfit("this strategy or its rewards move weights or sample while training"))
    if found:
        raise UserError(found)


def _unfit(message: str) -> Problem:
    return Problem("cannot-be-sharded", message, "set tune.parallel: data", "tune.parallel")


def clip(weights: Iterable[Tensor], limit: float) -> float:
    """Scale the gradients down to a joint norm of `limit` if it is larger; the norm before.

    Torch's own clipping, done for parted and whole weights apart, as one call does not take both.
    """
    parted: list[Tensor] = []
    others: list[Tensor] = []
    for weight in weights:
        (parted if isinstance(weight, DTensor) else others).append(weight)
    if not parted:
        return float(nn.utils.clip_grad_norm_(others, limit))
    groups = [group for group in (parted, others) if group]
    norms = [
        whole(nn.utils.get_total_norm([weight.grad for weight in group if weight.grad is not None])) for group in groups
    ]
    norm = torch.stack(norms).norm()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, limit, norm)
    return float(norm)


def gather(model: Any, ranks: Ranks) -> None:
    """Put whole weights back into `model` on rank 0, to be saved; it cannot be run any more.

    One weight is gathered at a time; the other processes keep nothing of it.
    """
    for module in model.modules():
        for name, weight in list(module._parameters.items()):
            if isinstance(weight, DTensor):
                full = whole(weight).cpu()
                if ranks.main:
                    module._parameters[name] = nn.Parameter(full, requires_grad=weight.requires_grad)
