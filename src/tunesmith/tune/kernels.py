"""The mathematics of the terms, on tensors.

What is summed over many positions or many matrices makes its gradient piece by piece, right after each piece's value,
so that memory holds the intermediate numbers of one piece only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Head = Callable[[Tensor], Tensor]


def chunked_cross_entropy(hidden_ND: Tensor, targets_N: Tensor, head: Head, *, chunk_tokens: int) -> Tensor:
    """-sum over n of log softmax(head(hidden_n))[target_n], a float32 scalar; see `chunked_sum`.

    Args:
        hidden_ND: states at the trained positions.
        targets_N: int64 in [0, V).
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        chunk_tokens: positions per chunk.
    """

    def loss(logits: Tensor, part: slice) -> Tensor:
        return functional.cross_entropy(logits, targets_N[part], reduction="sum")

    return chunked_sum(hidden_ND, head, loss, chunk_tokens=chunk_tokens)


def chunked_sum(hidden_ND: Tensor, head: Head, loss: Callable[[Tensor, slice], Tensor], *, chunk_tokens: int) -> Tensor:
    """The sum of `loss(head(hidden[part]), part)` over parts of at most `chunk_tokens` positions, a float32 scalar.

    Each chunk's gradient is made right after its loss and its logits are freed, so memory holds one chunk of logits
    whatever N is (the idea of Liger's fused linear cross-entropy, Hsu et al. 2024, arXiv:2410.10989, without a kernel).
    The gradient with respect to the head's own trained weights is made in the same way. No second derivative.

    Args:
        hidden_ND: states.
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        loss: float32 logits [n, V] and which positions they are -> the sum of their losses.
        chunk_tokens: positions per chunk.
    """
    wanted_at_all = torch.is_grad_enabled()
    own = head.parameters() if isinstance(head, torch.nn.Module) and wanted_at_all else ()
    weights: list[Tensor] = [weight for weight in own if weight.requires_grad]
    needs_hidden = hidden_ND.requires_grad and wanted_at_all
    total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
    grads = [torch.zeros_like(hidden_ND)] * needs_hidden + [torch.zeros_like(weight) for weight in weights]
    for start in range(0, len(hidden_ND), chunk_tokens):
        part = slice(start, start + chunk_tokens)
        with torch.enable_grad():
            states = hidden_ND[part].detach().requires_grad_(needs_hidden)
            value = loss(head(states).float(), part)
            wanted = [states] * needs_hidden + weights
            made = torch.autograd.grad(value, wanted) if wanted else ()
        total += value.detach()
        if needs_hidden:
            grads[0][part] = made[0]
        for grad, more in zip(grads[needs_hidden:], made[needs_hidden:], strict=True):
            grad += more
    return _joined(total, [hidden_ND] * needs_hidden + weights, grads)


def piecewise_sum(pieces: Iterable[tuple[Tensor, Sequence[Tensor]]]) -> Tensor:
    """The sum of scalars, each given with the leaf tensors that it depends on; float32, with their gradient.

    A generator's pieces are made, differentiated and freed one by one.
    """
    total: Tensor | None = None
    inputs: list[Tensor] = []
    grads: list[Tensor] = []
    with torch.enable_grad():
        for value, weights in pieces:
            grads += torch.autograd.grad(value, list(weights))
            inputs += weights
            total = value.detach().float() if total is None else total + value.detach()
    return _joined(torch.zeros(()) if total is None else total, inputs, grads)


def top_log_probabilities(logits_NV: Tensor, ids_NK: Tensor) -> Tensor:
    """[N, K + 1]: the log-probabilities of the K tokens `ids_NK`, and of all other tokens together (K < V)."""
    logs_NV = logits_NV.float().log_softmax(-1)
    others_N = logs_NV.scatter(1, ids_NK, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([logs_NV.gather(1, ids_NK), others_N], 1)


def divergence(teacher_NE: Tensor, model_NE: Tensor) -> Tensor:
    """The sum over n of KL(teacher || model) in nats, both given as log-probabilities of the events E."""
    return functional.kl_div(model_NE, teacher_NE, reduction="sum", log_target=True)


def _joined(value: Tensor, inputs: Sequence[Tensor], grads: Sequence[Tensor]) -> Tensor:
    """`value` as a function of `inputs` whose gradient is known to be `grads`."""
    # torch's own stubs leave `apply` untyped
    joined: Tensor = _Joined.apply(value, list(grads), *inputs)  # type: ignore[no-untyped-call]
    return joined


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, grads: list[Tensor], *_: Tensor) -> Tensor:
        ctx.save_for_backward(*grads)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(grad * grads[0] for grad in ctx.saved_tensors)
