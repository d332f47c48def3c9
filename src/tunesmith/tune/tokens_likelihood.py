"""The log-probability of every trained token, with gradient, in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

CHUNK_TOKENS = 1024


def token_log_probabilities(
    hidden_ND: Tensor,
    targets_N: Tensor,
    head: Callable[[Tensor], Tensor],
    *,
    temperature: float = 1.0,
    chunk_tokens: int = CHUNK_TOKENS,
) -> Tensor:
    """For every n, log softmax(head(hidden_n) / temperature)[target_n]: float32 [N], in nats.

    Logits of more than one chunk never exist. What each number's gradient does to its own state is made with it, as
    in `kernels.chunked_cross_entropy`; where the head itself is trained, the backward pass makes the logits again. No
    second derivative.

    Args:
        hidden_ND: states that predict the tokens.
        targets_N: int64 in [0, V).
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        temperature: logits are divided by it, as in sampling.
        chunk_tokens: positions per chunk.
    """
    weights = [w for w in head.parameters() if w.requires_grad] if isinstance(head, torch.nn.Module) else []
    # torch's own stubs leave `apply` untyped
    found: Tensor = _Chunked.apply(hidden_ND, targets_N, (head, temperature, chunk_tokens), *weights)  # type: ignore[no-untyped-call]
    return found


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, how: tuple[Any, float, int], *weights: Tensor) -> Tensor:
        found = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        needs_hidden = bool(ctx.needs_input_grad[0])
        grads = torch.zeros_like(hidden) if needs_hidden else hidden.new_empty(0)
        for part in _parts(len(targets), how[2]):
            with torch.set_grad_enabled(needs_hidden):
                states = hidden[part].detach().requires_grad_(needs_hidden)
                said = _log_probabilities(states, targets[part], how)
                if needs_hidden:  # each number depends on its own state alone, so one sum gives every row its own
                    (grads[part],) = torch.autograd.grad(said.sum(), states)
            found[part] = said.detach()
        ctx.how = how
        ctx.save_for_backward(hidden, targets, grads, *weights)
        return found

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden, targets, grads, *weights = ctx.saved_tensors
        to_hidden = grads * outer[0][:, None].to(grads.dtype) if ctx.needs_input_grad[0] else None
        to_weights = [torch.zeros_like(weight) for weight in weights]
        for part in _parts(len(targets), ctx.how[2]) if weights else []:
            with torch.enable_grad():
                said = _log_probabilities(hidden[part].detach(), targets[part], ctx.how)
                made = torch.autograd.grad((said * outer[0][part]).sum(), weights)
            for grad, more in zip(to_weights, made, strict=True):
                grad += more
        return to_hidden, None, None, *to_weights


def _parts(count: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, count, chunk)]


def _log_probabilities(states: Tensor, targets: Tensor, how: tuple[Any, float, int]) -> Tensor:
    logits: Tensor = how[0](states).float() / how[1]
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)
