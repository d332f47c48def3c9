"""The diagonal of the Fisher information of a language model's weights, per predicted position.

F_i = mean over positions n of E_{y ~ p(. | n)} [(d log p(y | n) / d w_i)^2]: the labels come from the model itself, not
from the data (the "empirical" Fisher, which takes the data's labels, is another matrix: Kunstner et al. 2019,
arXiv:1905.12558).

The square is inside the mean, so the square of a row's summed gradient is not it in general. With labels that are drawn
from the model independently at each position it is, in expectation: E_y[d log p(y | n)] = 0, so in
E[(sum_n g_n)^2] = sum_n E[g_n^2] + sum_{n != m} E[g_n] E[g_m] the mixed terms vanish. One backward pass a row and draw
is therefore an unbiased estimate of all its positions (Liu et al. 2023, Sophia, arXiv:2305.14342, section 2.3, use the
same identity for a batch).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.tune.kernels import Head, chunked_cross_entropy


def sampled_fisher(
    hidden_ND: Tensor, head: Head, weights: Sequence[Tensor], *, samples: int, generator: torch.Generator
) -> list[Tensor]:
    """An unbiased estimate of the sum over a row's positions of F, for each of `weights`, in float32.

    Args:
        hidden_ND: the row's states, with the graph down to the weights.
        head: hidden [n, D] -> logits [n, V].
        weights: leaf tensors that require gradient.
        samples: draws of all labels; one backward pass each.
        generator: on the CPU, so that the same seed means the same labels on every device.
    """
    totals = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
    for _ in range(samples):
        labels_N = _labels(hidden_ND, head, generator)
        loss = chunked_cross_entropy(hidden_ND, labels_N, head, chunk_tokens=CHUNK_TOKENS)
        _add_squares(totals, loss, weights, 1 / samples)
    return totals


def exact_fisher(hidden_ND: Tensor, head: Head, weights: Sequence[Tensor]) -> list[Tensor]:
    """The sum over a row's positions of F by enumeration: one backward pass a position and token of the vocabulary."""
    totals = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
    for place in range(len(hidden_ND)):
        logs_V = head(hidden_ND[place : place + 1]).float().log_softmax(-1)[0]
        for log in logs_V:
            _add_squares(totals, log, weights, float(log.detach().exp()))
    return totals


def _add_squares(totals: list[Tensor], value: Tensor, weights: Sequence[Tensor], share: float) -> None:
    grads = torch.autograd.grad(value, list(weights), retain_graph=True, allow_unused=True)
    for total, grad in zip(totals, grads, strict=True):
        if grad is not None:  # None: an expert that this row was not routed to
            total += share * grad.float().square()


@torch.no_grad()
def _labels(hidden_ND: Tensor, head: Head, generator: torch.Generator) -> Tensor:
    """One token for each position, drawn from the model."""
    drawn = []
    for start in range(0, len(hidden_ND), CHUNK_TOKENS):
        shares = head(hidden_ND[start : start + CHUNK_TOKENS]).float().softmax(-1).cpu()
        drawn.append(torch.multinomial(shares, 1, generator=generator)[:, 0])
    return torch.cat(drawn).to(hidden_ND.device)


CHUNK_TOKENS = 1024
