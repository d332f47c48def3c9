"""Metric: Brier score of the stated confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import Score
from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of, score_called
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class Brier(RowMetric):
    """Mean squared distance of confidence and being right, in [0, 1] (Brier 1950); lower is better.

    Unlike the calibration error it also rewards telling right answers from wrong ones. Equals scikit-learn's
    `brier_score_loss` of being right and confidence.
    """

    name: ClassVar[str] = "brier"
    scorer: ClassVar[str] = "label"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """A mean; rows without a confidence or without a label score are unscored."""
        return mean_of(rows, _squared)


def _squared(row: Row) -> Score:
    if row.answer.confidence is None:
        return Score(value=None, unscored="no-confidence")
    right = score_called("label")(row)
    if right.value is None:
        return right
    return Score(value=(row.answer.confidence - right.value) ** 2)
