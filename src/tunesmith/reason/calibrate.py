"""Probabilities that mean what they say, and answers that are withheld where the risk would be too high.

Axes: N question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TINY = 1e-6


@dataclass(frozen=True)
class Calibrator:
    """Log-odds scaled and shifted (Platt 1999); the identity where nothing was learnt."""

    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def fit(cls, probability_N: ArrayLike, right_N: ArrayLike, *, ridge: float = 1.0) -> Calibrator:
        """Scale and shift of largest likelihood, drawn to the identity by a ridge; the identity for no questions."""
        from scipy.optimize import minimize

        odds_N, right = _odds(probability_N), np.asarray(right_N, dtype=float)
        if not len(odds_N):
            return cls()

        def loss(x: Floats) -> float:
            z_N = x[0] * odds_N + x[1]
            return float(np.sum(np.logaddexp(0.0, z_N) - right * z_N) + ridge / 2 * ((x[0] - 1) ** 2 + x[1] ** 2))

        best = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 20.0), (-10.0, 10.0)]).x
        return cls(float(best[0]), float(best[1]))

    def __call__(self, probability: float) -> float:
        """The calibrated probability."""
        odds = self.scale * float(_odds([probability])[0]) + self.shift
        return 1.0 / (1.0 + math.exp(-odds))


def _odds(probability_N: ArrayLike) -> Floats:
    clipped = np.clip(np.asarray(probability_N, dtype=float), _TINY, 1 - _TINY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def expected_calibration_error(probability_N: ArrayLike, right_N: ArrayLike, *, bins: int = 10) -> float:
    """Mean distance between stated and true probability over bins of equal width, weighted by rows (Guo et al. 2017).

    Even a perfectly calibrated forecaster has some on few rows: `chance_calibration_error` says how much.
    """
    probability, right = np.asarray(probability_N, dtype=float), np.asarray(right_N, dtype=float)
    if not len(probability):
        return 0.0
    bin_N = np.minimum((probability * bins).astype(int), bins - 1)
    off = np.bincount(bin_N, weights=probability - right, minlength=bins)
    return float(np.abs(off).sum() / len(probability))


def chance_calibration_error(probability_N: ArrayLike, *, bins: int = 10, draws: int = 200, seed: int = 0) -> float:
    """The mean error of outcomes drawn from the stated probabilities themselves (Broecker and Smith 2007)."""
    probability = np.asarray(probability_N, dtype=float)
    chance = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(probability, chance.random(len(probability)) < probability, bins=bins)
        for _ in range(draws)
    ]
    return float(np.mean(errors)) if errors else 0.0


@dataclass(frozen=True)
class Threshold:
    """Where answers begin to be given.

    Fields:
        at_least: least probability of an answer that is given; above 1: none is, for no threshold keeps the risk.
        answered: share of the held-out questions that would be answered.
        risk: share of wrong answers among those.
    """

    at_least: float
    answered: float
    risk: float


NEVER = Threshold(1.01, 0.0, 0.0)
"""Abstain always."""


def abstention(
    probability_N: ArrayLike,
    right_N: ArrayLike,
    *,
    risk: float,
    confidence: float = 0.95,
    ahead: int | None = None,
    steps: int = 40,
) -> Threshold:
    """The lowest threshold at which the share of wrong answers among those given stays within `risk`.

    Learn then test (Angelopoulos et al. 2021, arXiv:2110.01052) by a fixed sequence: thresholds that would answer more
    and more questions are tested one after the other, up to the first that cannot be confirmed; so the chance that the
    chosen one breaks the risk is at most 1 - `confidence`, whatever the probabilities are worth.

    Args:
        probability_N: stated probabilities of N held-out questions, exchangeable with those to come.
        right_N: whether the answers were right.
        risk: in (0, 1).
        confidence: of the promise, in (0, 1).
        ahead: None: the promise is about the long run (binomial test). A number: about the share of wrong answers
            among the next so many questions, chance included (hypergeometric test).
        steps: thresholds in the sequence.
    """
    probability, right = np.asarray(probability_N, dtype=float), np.asarray(right_N, dtype=bool)
    best = NEVER
    for at_least in _sequence(probability, risk, confidence, steps):
        given_N = probability >= at_least
        given, wrong = int(given_N.sum()), int((given_N & ~right).sum())
        if _p_value(given, wrong, risk, _later(given, len(probability), ahead)) > 1 - confidence:
            break
        best = Threshold(float(at_least), given / len(probability), wrong / given)
    return best


def _sequence(probability_N: Floats, risk: float, confidence: float, steps: int) -> Floats:
    """Thresholds by the share that they answer, beginning where one wrong answer could be borne."""
    fewest = math.ceil(math.log(1 - confidence) / math.log(1 - risk)) * 2
    if len(probability_N) < fewest:
        return np.empty(0)
    counts = np.unique(np.linspace(fewest, len(probability_N), steps).astype(int))
    return np.asarray(np.sort(probability_N)[::-1][counts - 1])


def _later(given: int, rows: int, ahead: int | None) -> int | None:
    return None if ahead is None else max(1, round(given * ahead / rows))


def _p_value(given: int, wrong: int, risk: float, later: int | None) -> float:
    """Chance to see so few wrong answers although the risk is broken.

    Over the next `later` answers it is broken from w = floor(risk x later) + 1 wrong ones on; given wrong + w in all,
    how many of them fall among those that were seen is hypergeometric, and more in all would only lower the chance.
    """
    from scipy.stats import binom, hypergeom

    if later is None:
        return float(binom.cdf(wrong, given, risk))
    broken = math.floor(risk * later + 1e-9) + 1
    return float(hypergeom.cdf(wrong, given + later, wrong + broken, given)) if broken <= later else 0.0


def conformal_risk(probability_N: ArrayLike, right_N: ArrayLike, *, risk: float) -> Threshold:
    """The lowest threshold at which the expected share of questions that get a wrong answer is at most `risk`.

    Conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814, equation 4) for the loss "answered and wrong",
    which falls as the threshold rises: (N x loss + 1) / (N + 1) <= risk. A promise about the mean over all questions,
    weaker than `abstention`, and it holds at any number of held-out questions.
    """
    probability, right = np.asarray(probability_N, dtype=float), np.asarray(right_N, dtype=bool)
    rows, best = len(probability), NEVER
    for at_least in np.unique(probability)[::-1]:
        given_N = probability >= at_least
        wrong = int((given_N & ~right).sum())
        if wrong + 1 > risk * (rows + 1):
            break
        best = Threshold(float(at_least), float(given_N.mean()), wrong / int(given_N.sum()))
    return best


def kept(threshold: Threshold, probability_N: Sequence[float], right_N: Sequence[bool]) -> float:
    """The share of wrong answers among those that are given to other questions; 0 where none is given."""
    given_N = np.asarray(probability_N, dtype=float) >= threshold.at_least
    return float((given_N & ~np.asarray(right_N, dtype=bool)).sum() / max(1, int(given_N.sum())))
