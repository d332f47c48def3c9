"""The mathematics of the terms, on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def chunked_cross_entropy(
    hidden_ND: Tensor, targets_N: Tensor, head: Callable[[Tensor], Tensor], *, chunk_tokens: int
) -> Tensor:
    """-sum over n of log softmax(head(hidden_n))[target_n], a float32 scalar.

    Each chunk's gradient is made right after its loss and its logits are freed, so memory holds one chunk of logits
    whatever N is (the idea of Liger's fused linear cross-entropy, Hsu et al. 2024, arXiv:2410.10989, without a kernel).
    The gradient with respect to the head's own trained weights is made in the same way. No second derivative.

    Args:
        hidden_ND: states at the trained positions.
        targets_N: int64 in [0, V).
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        chunk_tokens: positions per chunk.
    """
    weights = [w for w in head.parameters() if w.requires_grad] if isinstance(head, torch.nn.Module) else []
    # torch's own stubs leave `apply` untyped
    total: Tensor = _Chunked.apply(hidden_ND, targets_N, head, chunk_tokens, *weights)  # type: ignore[no-untyped-call]
    return total


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Any, chunk: int, *weights: Tensor) -> Tensor:
        grads = [torch.zeros_like(hidden)] + [torch.zeros_like(weight) for weight in weights]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        needs_hidden = bool(ctx.needs_input_grad[0])
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            with torch.enable_grad():
                states = hidden[part].detach().requires_grad_(needs_hidden)
                loss = functional.cross_entropy(head(states).float(), targets[part], reduction="sum")
                wanted = [states] * needs_hidden + list(weights)
                made = torch.autograd.grad(loss, wanted) if wanted else ()
            total += loss.detach()
            if needs_hidden:
                grads[0][part] = made[0]
            for grad, more in zip(grads[1:], made[needs_hidden:], strict=True):
                grad += more
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *weights = (grad * grads[0] for grad in ctx.saved_tensors)
        return hidden, None, None, None, *weights
