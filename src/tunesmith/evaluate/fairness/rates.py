"""Rates per group and their gaps, as fairlearn defines them (Bird et al. 2020; Weerts et al. 2023).

Everything is a function of row weights, so that one definition serves the point value and every resample. Axes: N row,
G group, R resample.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluate.statistics import Floats

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy")
"""Selected; selected of those who should be; of those who should not; right of those selected; right of all."""

GAPS: Mapping[str, tuple[str, ...]] = {
    "demographic_parity_difference": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity_difference": ("precision",),
}
"""Measure -> the rates whose largest gap between two groups it is."""


def cell_of(rate: str, truth_N: NDArray[np.bool_], said_N: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Floats]:
    """What a rate is a share of: which rows count, and 1 for those of them that are successes.

    Args:
        rate: one of `RATES`.
        truth_N: rows whose right answer is the favourable one.
        said_N: rows that were answered with it.
    """
    everyone = np.ones(len(truth_N), dtype=np.bool_)
    counted = {
        "selection_rate": everyone,
        "true_positive_rate": truth_N,
        "false_positive_rate": ~truth_N,
        "precision": said_N,
        "accuracy": everyone,
    }[rate]
    success = {"precision": truth_N, "accuracy": truth_N == said_N}.get(rate, said_N)
    return counted, success.astype(np.float64)


def group_rates(
    rate: str,
    truth_N: NDArray[np.bool_],
    said_N: NDArray[np.bool_],
    member_NG: Floats,
    *,
    weights_RN: Floats | None = None,
    empty: float = float("nan"),
) -> Floats:
    """The rate of each group, [R, G].

    Args:
        rate: one of `RATES`.
        truth_N: rows whose right answer is the favourable one.
        said_N: rows that were answered with it.
        member_NG: 1 where a row is of a group.
        weights_RN: how often each row counts; None: once, R = 1.
        empty: the rate of a group that has no row to take it over. NaN leaves it out of every gap; 0 is what fairlearn
            says of a group without a right answer of that kind, which then looks treated worse than any other.
    """
    weights = np.ones((1, len(truth_N))) if weights_RN is None else weights_RN
    counted_N, success_N = cell_of(rate, truth_N, said_N)
    counted_NG = member_NG * counted_N[:, None]
    below_RG = weights @ counted_NG
    above_RG = weights @ (counted_NG * success_N[:, None])
    return np.divide(above_RG, below_RG, out=np.full_like(above_RG, empty), where=below_RG > 0)


def gap(rates_RG: Floats) -> Floats:
    """Largest minus smallest rate per resample, NaN groups left out; NaN where fewer than one group has a rate."""
    known = ~np.isnan(rates_RG)
    high = np.where(known, rates_RG, -np.inf).max(axis=1)
    low = np.where(known, rates_RG, np.inf).min(axis=1)
    return np.where(known.any(axis=1), high - low, np.nan)


def difference(
    measure: str,
    truth_N: NDArray[np.bool_],
    said_N: NDArray[np.bool_],
    member_NG: Floats,
    *,
    weights_RN: Floats | None = None,
    empty: float = float("nan"),
) -> Floats:
    """A measure of `GAPS` per resample, [R]: the largest gap over its rates; arguments as of `group_rates`."""
    gaps = [
        gap(group_rates(rate, truth_N, said_N, member_NG, weights_RN=weights_RN, empty=empty)) for rate in GAPS[measure]
    ]
    return np.asarray(np.fmax.reduce(gaps), dtype=np.float64)


def members(names: NDArray[np.str_]) -> tuple[list[str], Floats]:
    """The groups that occur, sorted, and member_NG."""
    groups, codes_N = np.unique(names, return_inverse=True)
    return [str(group) for group in groups], np.eye(len(groups))[codes_N]
