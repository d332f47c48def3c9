"""Laws of every term of the objective."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from term_cases import CASES, Case
from torch import Tensor

from tunesmith.tune.batches import Step
from tunesmith.tune.objective import TERMS


@pytest.fixture(params=TERMS.names())
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """A term at work on a tiny model, with a step of rows of the kind that it reads."""
    return CASES[request.param](tmp_path)


def gradient(case: Case, micro_tokens: int) -> tuple[float, dict[str, Tensor]]:
    """The term's value in the step and its gradient, cut into micro-batches of so many tokens."""
    for weight in case.weights.values():
        weight.grad = None
    total = 0.0
    step, batches = case.plan.work(0, micro_tokens)
    for batch in batches:
        value = case.term.value(case.forward.predictions(batch), step)
        if value is not None:
            total += float(value.detach())
            if value.requires_grad:
                torch.autograd.backward(value)
    penalty = case.term.penalty()
    if penalty is not None:
        total += float(penalty.detach())
        torch.autograd.backward(penalty)
    return total, {name: w.grad.clone() for name, w in case.weights.items() if w.grad is not None}


def apart(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """The largest difference of two gradients, as a share of the largest number in them."""
    scale = max(float(grad.abs().max()) for grad in left.values())
    return max(float((left[name] - right[name]).abs().max()) for name in left) / scale


def test_the_value_of_a_step_does_not_depend_on_how_it_is_cut(case: Case) -> None:
    whole, grads = gradient(case, 100_000)
    parts, grads_of_parts = gradient(case, 1)
    assert parts == pytest.approx(whole, rel=1e-4, abs=1e-6)
    assert grads.keys() == grads_of_parts.keys() and grads
    assert apart(grads, grads_of_parts) < 1e-3


def test_the_gradient_is_that_of_the_value(case: Case) -> None:
    """Against a difference quotient along the gradient: (L(w + h g) - L(w - h g)) / 2 h = |g|^2."""
    _, grads = gradient(case, 100_000)
    size = sum(float(grad.double().square().sum()) for grad in grads.values())
    step = 1e-2 / size**0.5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for name, grad in grads.items():
                case.weights[name] += sign * step * grad
        ends.append(gradient(case, 100_000)[0])
        with torch.no_grad():
            for name, grad in grads.items():
                case.weights[name] -= sign * step * grad
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(size, rel=0.05)


def test_it_is_a_finite_float32_scalar_and_gives_the_same_twice(case: Case) -> None:
    step, [batch] = case.plan.work(0, 100_000)
    values = [case.term.value(case.forward.predictions(batch), step) for _ in range(2)]
    values = [case.term.penalty() if value is None else value for value in values]
    first, second = values
    assert first is not None and second is not None
    assert first.shape == () and first.dtype == torch.float32 and bool(torch.isfinite(first))
    assert torch.equal(first, second)


def test_rows_of_other_parts_do_not_change_it(case: Case) -> None:
    """The same step with every row renamed to a part that no term reads: the term reads nothing, or weights only."""
    _, [batch] = case.plan.work(0, 100_000)
    others: tuple[Any, ...] = tuple(replace(row, part="nobody's") for row in batch.items)
    predictions = case.forward.predictions(replace(batch, items=others, rows=tuple(-1 for _ in others)))
    assert case.term.value(predictions, Step(0, 1, others)) is None


def test_the_state_can_be_taken_away_and_put_back(case: Case) -> None:
    before = {name: tensor.clone() for name, tensor in case.term.tensors().items()}
    case.term.restore(before)
    after = case.term.tensors()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_what_it_tells_is_finite_and_of_the_step_alone(case: Case) -> None:
    """The step is begun, run and begun anew, as after a lack of memory: the figures are those of one pass."""
    step, [batch] = case.plan.work(0, 100_000)
    told = []
    for _ in range(2):
        case.term.begin(step)
        case.term.value(case.forward.predictions(batch), step)
        told.append(case.term.told())
    assert told[0] == told[1]
    assert all(type(figure) is float and math.isfinite(figure) for figure in told[0].values())


@pytest.mark.parametrize("name", TERMS.names())
def test_every_term_says_what_it_is(name: str) -> None:
    assert TERMS.about(name).endswith(".")


@pytest.mark.parametrize("name", TERMS.names())
def test_every_term_has_a_case_here(name: str) -> None:
    assert name in CASES, f"write a case for {name} into tests/laws/term_cases.py"
