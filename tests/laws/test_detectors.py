"""What every detector of the shelf must do."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluate.detecting import auroc, build
from tunesmith.evaluate.safety_spec import DETECTORS
from tunesmith.models.features import Features

NAMES = DETECTORS.names()


def questions(number: int, *, middle: float, seed: int) -> Features:
    """Questions around `middle` in every feature; the expert is behind its base by as much; words are other ones."""
    dice = np.random.default_rng(seed)
    nats = 3.0 + middle + 0.3 * dice.standard_normal(number)
    states = middle + dice.standard_normal((number, 24))
    energy = -20.0 + 2 * middle + 0.3 * dice.standard_normal(number)
    ids = tuple(tuple((dice.integers(30, size=8) + round(20 * middle)).tolist()) for _ in range(number))
    return Features(states, nats, energy, nats - middle, ids)


SEEN, GENERAL = questions(200, middle=0.0, seed=1), questions(100, middle=2.0, seed=2)
INSIDE, OUTSIDE = questions(100, middle=0.0, seed=3), questions(100, middle=2.0, seed=4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_plainly_outside_scores_higher(name: str) -> None:
    """Six standard deviations in every feature, and 2 in each of 24 directions of the states."""
    state = build(name).fit(SEEN, GENERAL)
    assert auroc(build(name).score(state, INSIDE), build(name).score(state, OUTSIDE)) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_a_score_does_not_depend_on_what_is_scored_beside_it(name: str) -> None:
    state = build(name).fit(SEEN, GENERAL)
    together = build(name).score(state, INSIDE)
    alone = [build(name).score(state, INSIDE.take([n]))[0] for n in range(5)]
    assert together[:5] == pytest.approx(alone)
    assert build(name).score(state, INSIDE.take([3, 1])) == pytest.approx(together[[3, 1]])


@pytest.mark.parametrize("name", NAMES)
def test_fitting_twice_gives_the_same_and_arrays_only(name: str) -> None:
    first, second = (build(name).fit(SEEN, GENERAL) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(isinstance(first[key], np.ndarray) and np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_few_questions_and_constant_features_give_finite_scores(name: str) -> None:
    """Three training questions, all the same: no detector divides by nothing."""
    one = Features(np.ones((3, 24)), np.ones(3), np.ones(3), np.ones(3), ((5, 5),) * 3)
    state = build(name).fit(one, one)
    assert np.isfinite(build(name).score(state, OUTSIDE)).all()
