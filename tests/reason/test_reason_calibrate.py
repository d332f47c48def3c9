"""Probabilities that mean what they say, and thresholds that keep their promise."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.reason.calibrate import (
    NEVER,
    Calibrator,
    abstention,
    chance_calibration_error,
    conformal_risk,
    expected_calibration_error,
    kept,
)


def drawn(rows: int, *, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities and outcomes; at sharpness 1 they are calibrated, above it too sure of themselves."""
    chance = np.random.default_rng(seed)
    odds = chance.normal(1.0, 2.0, rows)
    return 1 / (1 + np.exp(-sharpness * odds)), chance.random(rows) < 1 / (1 + np.exp(-odds))


def test_the_error_by_hand() -> None:
    """Two bins: 0.25 stated twice and none right is 0.25 off; 0.75 stated twice and both right is 0.25 off."""
    assert expected_calibration_error([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1], bins=2) == pytest.approx(0.25)
    assert expected_calibration_error([0.0, 1.0, 0.5, 0.5], [0, 1, 0, 1]) == pytest.approx(0.0)
    assert expected_calibration_error([], []) == 0.0


def test_chance_alone_makes_an_error_that_shrinks_with_rows() -> None:
    few, many = (chance_calibration_error(drawn(rows, seed=1)[0]) for rows in (100, 10_000))
    assert few > 3 * many > 0


def test_what_is_too_sure_of_itself_is_mended() -> None:
    stated, right = drawn(4000, seed=2, sharpness=3.0)
    found = Calibrator.fit(stated, right)
    assert found.scale == pytest.approx(1 / 3, abs=0.05)
    mended = [found(one) for one in stated]
    assert expected_calibration_error(mended, right) < 0.03 < expected_calibration_error(stated, right)


def test_nothing_learnt_changes_nothing_and_the_ends_are_safe() -> None:
    assert Calibrator.fit([], [])(0.3) == pytest.approx(0.3)
    assert 0 < Calibrator()(0.0) < Calibrator()(1.0) < 1
    assert 0.5 < Calibrator.fit([0.9], [True])(0.9) < 1


@pytest.mark.parametrize("sharpness", [1.0, 4.0, 0.25])
def test_abstention_keeps_its_promise_however_bad_the_probabilities_are(sharpness: float) -> None:
    """At confidence 0.9, of 200 draws at most some 10 % break the risk among the next 300 (30 would be 3 sd: 33)."""
    broken = answered = 0
    for seed in range(200):
        stated, right = drawn(600, seed=seed, sharpness=sharpness)
        found = abstention(stated[:300], right[:300], risk=0.2, confidence=0.9, ahead=300)
        broken += kept(found, list(stated[300:]), list(right[300:])) > 0.2
        answered += found.answered > 0
    assert broken <= 33 and answered >= 150


def test_where_no_risk_can_be_promised_nothing_is_answered() -> None:
    stated = np.linspace(0.5, 0.9, 200)
    assert abstention(stated, np.zeros(200), risk=0.1) == NEVER
    assert abstention([0.9] * 5, [True] * 5, risk=0.1) == NEVER
    assert abstention([0.9] * 500, [True] * 500, risk=0.1).answered == 1.0


def test_conformal_risk_by_hand() -> None:
    """Nine questions, risk 0.2: at most 0.2 x 10 - 1 = 1 wrong answer; the second wrong one is the one at 0.3."""
    stated, right = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 1, 1, 1, 0, 1, 1]
    found = conformal_risk(stated, right, risk=0.2)
    assert found.at_least == 0.4 and found.answered == pytest.approx(6 / 9) and found.risk == pytest.approx(1 / 6)
    assert conformal_risk(stated, right, risk=0.05) == NEVER
