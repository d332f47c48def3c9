"""Laws of every term of the objective."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.tune.objective import TERMS, Objective, Predictions

POSITIONS, HIDDEN, VOCABULARY = 12, 6, 11
TRAINED = [1, 4, 5, 6, 10]


def head() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(HIDDEN, VOCABULARY, bias=False).requires_grad_(False)


def hidden() -> Tensor:
    return torch.randn(POSITIONS, HIDDEN, generator=torch.Generator().manual_seed(2), requires_grad=True)


def targets() -> Tensor:
    return torch.arange(POSITIONS) % VOCABULARY


def predictions(states: Tensor, places: list[int]) -> Predictions:
    return Predictions(states[places], targets()[places], head())


@pytest.mark.parametrize("name", TERMS.names())
def test_untrained_positions_get_no_gradient_and_trained_ones_do(name: str) -> None:
    states = hidden()
    value: Any = TERMS.build(name).sum(predictions(states, TRAINED))
    value.backward()
    assert states.grad is not None
    touched = states.grad.abs().sum(1) > 0
    assert touched.nonzero().flatten().tolist() == TRAINED


@pytest.mark.parametrize("name", TERMS.names())
def test_the_sum_of_parts_is_the_sum_of_the_whole(name: str) -> None:
    term, states = TERMS.build(name), hidden()
    whole = term.sum(predictions(states, TRAINED))
    parts = term.sum(predictions(states, TRAINED[:2])) + term.sum(predictions(states, TRAINED[2:]))
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize("name", TERMS.names())
def test_the_order_of_positions_does_not_matter(name: str) -> None:
    term, states = TERMS.build(name), hidden()
    torch.testing.assert_close(
        term.sum(predictions(states, TRAINED)), term.sum(predictions(states, TRAINED[::-1])), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", TERMS.names())
def test_it_is_a_finite_float32_scalar_and_gives_the_same_twice(name: str) -> None:
    term, states = TERMS.build(name), hidden()
    first, second = (term.sum(predictions(states, TRAINED)) for _ in range(2))
    assert first.shape == () and first.dtype == torch.float32 and bool(torch.isfinite(first))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", TERMS.names())
def test_a_weight_scales_the_gradient_and_not_the_value_that_is_told(name: str) -> None:
    grads = []
    for weight in (1.0, 0.25):
        states = hidden()
        values = Objective.build([{"use": name, "weight": weight}]).backward(predictions(states, TRAINED), 5)
        assert states.grad is not None
        grads.append((states.grad, values[name]))
    torch.testing.assert_close(grads[0][0] * 0.25, grads[1][0])
    assert grads[0][1] == grads[1][1]


@pytest.mark.parametrize("name", TERMS.names())
def test_every_term_says_what_it_is(name: str) -> None:
    assert TERMS.about(name).endswith(".")
