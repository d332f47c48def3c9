"""Runs PEFT's rank allocator (AdaLoRA) beside a training loop that is not PEFT's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tunesmith.tune.objective import Companion

_SMOOTHED = {"importance": "exp_avg_ipt", "uncertainty": "exp_avg_unc"}


class Allocation(Companion):
    """Moves rank under a budget while a model is trained.

    PEFT adds the penalty only where the model's own forward computes the loss, and asks to be called after every
    step; both are done here. Its state, the smoothed importance of every weight (eq. 9 and 10) and what is switched
    off, is not part of PEFT's checkpoints, so `tensors` and `restore` carry it.

    Args:
        adapted: a PEFT model with a fresh AdaLoRA adapter.
        steps: optimiser steps of the training. One step moves no rank; nor does a phase after one that has moved it.
        warm: share of the steps before any rank is taken away.
        settle: share of the steps at the end in which none is.
    """

    def __init__(self, adapted: Any, *, steps: int, warm: float, settle: float) -> None:
        self._tuner = adapted.base_model
        self._name = self._tuner.trainable_adapter_name
        self._config = self._tuner.peft_config[self._name]
        self._settled_from = 0
        if steps > 1 and not self._config.rank_pattern:
            self._config.total_step = steps
            self._config.tfinal = min(steps - 1, max(1, round(settle * steps)))
            self._config.tinit = min(round(warm * steps), steps - self._config.tfinal - 1)
            self._settled_from = steps - self._config.tfinal

    def penalty(self) -> Tensor | None:
        """`orthogonal` x the mean over all P and Q of || P^T P - I || (Frobenius); None at weight 0.

        PEFT's form of eq. 4, which squares the norm and sums.
        """
        weight = float(self._config.orth_reg_weight)
        if weight == 0:
            return None
        grams = [
            value @ value.T if ".lora_A." in name else value.T @ value
            for name, value in self._tuner.model.named_parameters()
            if ".lora_A." in name or ".lora_B." in name
        ]
        off = [torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)) for gram in grams]
        return weight * torch.stack(off).mean()

    def after_step(self, step: int) -> None:
        """Take the step's gradients into the importance, and switch off what is beyond the step's budget.

        The ranks are settled for good by the first step after the budget has shrunk that is not set aside.
        """
        allocator = self._tuner.rankallocator
        if step < self._settled_from:
            self._tuner.update_and_allocate(step)
        elif allocator.exp_avg_ipt:
            self._tuner.update_and_allocate(self._settled_from)
        elif self._config.rank_pattern:
            allocator.mask_using_rank_pattern(self._tuner.model, self._config.rank_pattern)

    def tensors(self) -> dict[str, Tensor]:
        """The allocator's state, under `importance/NAME`, `uncertainty/NAME` and `kept/NAME`."""
        allocator = self._tuner.rankallocator
        found = {
            f"{kind}/{name}": value.detach().clone()
            for kind, attribute in _SMOOTHED.items()
            for name, value in getattr(allocator, attribute).items()
        }
        for name, kept in (self._config.rank_pattern or {}).items():
            found[f"kept/{name}"] = torch.tensor(kept, dtype=torch.uint8)
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        allocator = self._tuner.rankallocator
        allocator.reset_ipt()
        kept = {}
        devices = {name: weight.device for name, weight in self._tuner.model.named_parameters()}
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "kept":
                kept[name] = value.bool().tolist()
                continue
            getattr(allocator, _SMOOTHED[kind])[name] = value.to(devices[name], copy=True)
            allocator.ipt.setdefault(name, torch.zeros_like(value))  # made anew each step; it only has to exist
        self._config.rank_pattern = kept or None
