"""Answering only where the risk of being wrong is held: which confidence is enough, proven on calibration rows.

The risk is that of the answers that are given (selective risk). A threshold on the confidence is accepted when an exact
binomial bound says that its risk is at most the chosen one; thresholds are tried from a strict one on, and the first
that is not accepted ends the search, so all tests together err with a chance of at most delta (fixed-sequence testing:
Angelopoulos et al. 2021, "Learn then test"; Geifman and El-Yaniv 2017 for the bound).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True)
class Abstention:
    """When to answer.

    Args:
        threshold: least confidence with which an answer is given; infinite: none can be given at this risk.
        risk: chosen share of wrong answers among those given.
        delta: chance that the true share is larger all the same.
        answered: share of the calibration rows that is answered.
        bound: upper bound on the risk at this threshold; None where nothing is answered.
        rows: calibration rows.
    """

    threshold: float
    risk: float
    delta: float
    answered: float
    bound: float | None
    rows: int


def fit_abstention(
    confidence: Sequence[float], right: Sequence[bool], *, risk: float, delta: float = 0.05, steps: int = 50
) -> Abstention:
    """The least strict threshold that keeps the risk.

    Args:
        confidence: of each calibration row; the higher, the surer. Rows of one group should be drawn once.
        right: whether its answer is right.
        risk: most share of wrong answers among those given, in (0, 1).
        delta: chance of being wrong about it.
        steps: thresholds that are tried, at even shares of rows answered.
    """
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    sure = np.asarray(confidence, dtype=np.float64)[order]
    wrong = np.cumsum(~np.asarray(right, dtype=bool)[order])
    best = Abstention(math.inf, risk, delta, 0.0, None, len(sure))
    for number in _places(sure, steps, risk, delta):
        bound = upper_bound(int(wrong[number - 1]), number, delta)
        if bound > risk:
            break
        best = Abstention(float(sure[number - 1]), risk, delta, number / len(sure), bound, len(sure))
    return best


def _places(sure: np.ndarray, steps: int, risk: float, delta: float) -> list[int]:
    """Numbers of answers that are tried, in order; equal confidences are answered together.

    They follow from numbers and confidences alone, not from which answers are right: choosing them spends nothing. A
    search that began with the fewest rows that can prove anything would end at the first error among them, so it begins
    at the last place before half the risk is enough to prove it.
    """
    numbers = {max(1, round(share * len(sure))) for share in np.linspace(1 / steps, 1.0, steps)} if len(sure) else set()
    ends = sorted({int(np.searchsorted(-sure, -sure[number - 1], side="right")) for number in numbers})
    places = [number for number in ends if number >= _faultless(risk, delta)]
    begun = [number for number in places if number <= _enough(len(sure), risk, delta)]
    return places[max(0, len(begun) - 1) :]


def upper_bound(errors: int, rows: int, delta: float) -> float:
    """The largest risk under which `errors` or fewer of `rows` have a chance of at least delta (Clopper-Pearson)."""
    from scipy.special import betaincinv

    return 1.0 if errors >= rows else float(betaincinv(errors + 1, rows - errors, 1 - delta))


def _faultless(risk: float, delta: float) -> int:
    """The fewest rows that prove the risk where none of them is wrong: (1 - risk)^rows <= delta."""
    return math.ceil(math.log(delta) / math.log(1 - risk))


@cache
def _enough(rows: int, risk: float, delta: float) -> int:
    """The fewest rows, up to `rows`, that prove the risk where at most half of it, and one at least, are wrong."""
    numbers = range(_faultless(risk, delta), rows + 1)
    found = (n for n in numbers if n * risk / 2 >= 1 and upper_bound(math.floor(n * risk / 2), n, delta) <= risk)
    return next(found, _faultless(risk, delta))
