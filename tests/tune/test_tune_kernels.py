"""Chunks change nothing; the numbers are those of the definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.tune.kernels import chunked_cross_entropy


def test_two_positions_by_hand() -> None:
    """The head is the identity, so logits are the states: (0, ln 3) and (0, 0).

    -log softmax of target 1 in the first: -ln(3/4) = 0.2877; of target 0 in the second: -ln(1/2) = 0.6931.
    """
    states = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    value = chunked_cross_entropy(states, torch.tensor([1, 0]), nn.Identity(), chunk_tokens=1)
    assert value.item() == pytest.approx(0.28768 + 0.69315, abs=1e-5)


def whole_and_chunked(chunk: int, *, trained_head: bool) -> tuple[list[Tensor], list[Tensor]]:
    results = []
    for chunked in (False, True):
        torch.manual_seed(0)
        head = nn.Linear(8, 13, bias=False).requires_grad_(trained_head)
        states = torch.randn(10, 8, requires_grad=True)
        targets = torch.randint(0, 13, (10,))
        value: Any = (
            chunked_cross_entropy(states, targets, head, chunk_tokens=chunk)
            if chunked
            else nn.functional.cross_entropy(head(states), targets, reduction="sum")
        )
        (value * 0.5).backward()
        grads = [states.grad, head.weight.grad if trained_head else torch.zeros(1)]
        results.append([value.detach(), *(grad for grad in grads if grad is not None)])
    return results[0], results[1]


@pytest.mark.parametrize("chunk", [1, 3, 10, 100])
@pytest.mark.parametrize("trained_head", [False, True])
def test_chunks_give_the_loss_and_gradients_of_the_whole(chunk: int, trained_head: bool) -> None:
    whole, chunked = whole_and_chunked(chunk, trained_head=trained_head)
    assert len(whole) == len(chunked) == 3
    for wanted, got in zip(whole, chunked, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_logits_of_one_chunk_only_exist_at_a_time() -> None:
    seen = []

    class Watching(nn.Linear):
        def forward(self, states: Tensor) -> Tensor:
            seen.append(len(states))
            return super().forward(states)

    chunked_cross_entropy(torch.randn(10, 4), torch.zeros(10, dtype=torch.long), Watching(4, 5), chunk_tokens=4)
    assert seen == [4, 4, 2]
