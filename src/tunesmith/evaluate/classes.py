"""Precision, recall and F1 from weighted counts per class. Axes: N row, R resample, K class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.evaluate.metric import Share, Statistic, score_called
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import Floats

Rate = Callable[[Floats, Floats, Floats], Floats]
"""(right, answered, expected) counts -> rate; same shape."""


def precision_of(right: Floats, answered: Floats, expected: Floats) -> Floats:
    """Right over answered; 0 where nothing was answered."""
    return np.divide(right, answered, out=np.zeros_like(right), where=answered > 0)


def recall_of(right: Floats, answered: Floats, expected: Floats) -> Floats:
    """Right over expected; 0 where nothing was expected."""
    return np.divide(right, expected, out=np.zeros_like(right), where=expected > 0)


def f1_of(right: Floats, answered: Floats, expected: Floats) -> Floats:
    """Twice right over answered plus expected; 0 where both are empty."""
    both = answered + expected
    return np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)


def class_statistic(rows: Sequence[Row], rate: Rate, *, of: str = "macro") -> Statistic:
    """`rate` of one class, or its mean over the classes that the references of the (resampled) rows hold.

    A value is NaN for a resample without any row of the class asked for. Of one class, the interval rests on the rows
    of the rate's own denominator.
    """
    read = score_called("label")
    kept = [row for row in rows if read(row).value is not None]
    unscored = Counter(read(row).unscored for row in rows if read(row).value is None)
    classes = sorted({str(row.expected) for row in kept}) if of == "macro" else [of]
    expected_NK = _one_hot([row.expected for row in kept], classes)
    answered_NK = _one_hot([row.predicted for row in kept], classes)
    right_NK = expected_NK * answered_NK

    def kernel(weights_RN: Floats) -> Floats:
        expected_RK = weights_RN @ expected_NK
        rates_RK = rate(weights_RN @ right_NK, weights_RN @ answered_NK, expected_RK)
        present_RK = expected_RK > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((rates_RK * present_RK).sum(axis=1) / present_RK.sum(axis=1), dtype=np.float64)

    share = None if of == "macro" else _share(kept, rate, of)
    return Statistic(tuple(kept), unscored, kernel, share=share)


def _share(rows: Sequence[Row], rate: Rate, of: str) -> Share:
    """The rate of one class as a share of its own rows: expected (recall), answered (precision) or either (F1)."""
    asked: dict[Rate, Callable[[Row], bool]] = {
        recall_of: lambda row: row.expected == of,
        precision_of: lambda row: row.predicted == of,
        f1_of: lambda row: of in (row.expected, row.predicted),
    }
    own = [row for row in rows if asked[rate](row)]
    values = np.array([float(row.expected == row.predicted == of) for row in own], dtype=np.float64)
    return Share(values, [row.cluster for row in own], _f1_of_jaccard if rate is f1_of else float)


def _f1_of_jaccard(share: float) -> float:
    return 2 * share / (1 + share)


def _one_hot(names: Sequence[str | None], classes: Sequence[str]) -> Floats:
    return np.array([[float(name == c) for c in classes] for name in names], dtype=np.float64).reshape(
        len(names), len(classes)
    )
