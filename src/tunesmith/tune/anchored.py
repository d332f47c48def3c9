"""How far the weights that are trained have moved from the base's, as the model feels it.

A weight of the model's own has moved by w - w0. An adapter's A and B are no weights of the base: at the start B is
zero, so the model's output does not depend on A at all, and a penalty on A and B would hold the parametrisation, not
the model. What the model feels is the product: the matrix W that is adapted becomes W + s B A, and has moved by
dW = s B A. So anchors are taken on dW, for every kind of adapter whose dW is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.kernels import piecewise_sum
from tunesmith.tune.untrained import OBJECTIVE


@dataclass(frozen=True)
class Moved:
    """One matrix of the base that training moves.

    Args:
        name: as the base model calls it.
        base: the base's own matrix; what the model runs with while adapters are off.
        change: how far it has moved: float32, with gradient, in the shape of `base` (a 4-bit `base` has another).
        weights: the trained tensors that the change depends on.
    """

    name: str
    base: Tensor
    change: Callable[[], Tensor]
    weights: tuple[Tensor, ...]


def moved_matrices(model: Any, term: str) -> list[Moved]:
    """Every matrix that training moves; `model` is as it was before the first step, or a PEFT model.

    Raises:
        UserError: an adapter of a kind whose change of the weights is not known here (DoRA).
    """
    found = [*_adapted(model), *_kept_beside(model)]
    known = {id(weight) for one in found for weight in one.weights}
    rest = [(name, w) for name, w in model.named_parameters() if w.requires_grad and id(w) not in known]
    strange = [name for name, _ in rest if hasattr(model, "peft_config") and model.base_model.prefix in name]
    if strange:
        message = f"{term} does not know how this kind of adapter changes the weights ({strange[0]})"
        raise UserError(Problem("anchor-does-not-fit", message, "use plain LoRA, or l2_sp on full tuning", OBJECTIVE))
    return found + [_own(_plain(name), weight) for name, weight in rest]


def anchor_penalty(moved: Sequence[Moved], importance: Sequence[Tensor | None]) -> Tensor:
    """1/2 sum over matrices and entries of F (w - w0)^2, with gradient; F = 1 where `importance` has None.

    One matrix's dW is in memory at a time.
    """

    def pieces() -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        for one, fisher in zip(moved, importance, strict=True):
            squares = one.change().square()
            yield (squares if fisher is None else fisher * squares).sum() / 2, one.weights

    return piecewise_sum(pieces())


def _own(name: str, weight: Tensor) -> Moved:
    start = weight.detach().clone()
    return Moved(name, weight, lambda: weight.float() - start.float(), (weight,))


def _kept_beside(model: Any) -> Iterator[Moved]:
    """Layers that PEFT trains as a copy and keeps the base's own beside (`modules_to_save`)."""
    from peft.utils import ModulesToSaveWrapper

    for name, module in model.named_modules():
        if isinstance(module, ModulesToSaveWrapper):
            bases = dict(module.original_module.named_parameters())
            for adapter in module.active_adapters:
                for own, weight in module.modules_to_save[adapter].named_parameters():
                    if weight.requires_grad:
                        yield Moved(_plain(f"{name}.{own}"), bases[own], _difference(weight, bases[own]), (weight,))


def _difference(weight: Tensor, base: Tensor) -> Callable[[], Tensor]:
    return lambda: weight.float() - base.float()


def _adapted(model: Any) -> Iterator[Moved]:
    """Matrices under a LoRA adapter (AdaLoRA and the block-diagonal form are its kinds)."""
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        for adapter in module.active_adapters:
            change = _low_rank(module, adapter)
            if change is not None:
                own = getattr(module, "parameter_name", "weight")
                base = getattr(module.get_base_layer(), own)
                yield Moved(_plain(f"{name}.{own}"), base, change, tuple(_trained(module, adapter)))


def _low_rank(module: Any, adapter: str) -> Callable[[], Tensor] | None:
    """The change dW by one adapter; None where there is none, or where it is not simply B A."""
    if adapter not in module.lora_A:
        return None
    variant = module.lora_variant.get(adapter)
    if variant is None:
        return lambda: module.get_delta_weight(adapter).float()
    if getattr(variant, "__name__", type(variant).__name__) != "BdLoraLinearVariant":
        return None
    down, up, scale = module.lora_A[adapter], module.lora_B[adapter], module.scaling[adapter]

    def blocks() -> Tensor:
        weight = next(down.parameters())
        unit = torch.eye(module.in_features, device=weight.device, dtype=weight.dtype)
        rows: Tensor = up(down(unit)) * scale  # row i is what the update makes of unit vector i
        return rows.T.float()

    return blocks


def _trained(module: Any, adapter: str) -> Iterator[Tensor]:
    for kind in module.adapter_layer_names:
        held = getattr(module, kind, None)
        if held is not None and adapter in held:
            part = held[adapter]
            yield from (w for w in ([part] if isinstance(part, Tensor) else part.parameters()) if w.requires_grad)


def _plain(name: str) -> str:
    """A weight's name in the base model, without what PEFT puts around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "")
