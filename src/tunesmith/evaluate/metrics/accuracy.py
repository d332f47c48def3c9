"""Metric: share of rows with the right label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of, score_called
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class Accuracy(RowMetric):
    """Share of rows answered with the right label; an answer outside the set counts as wrong.

    Equals `sklearn.metrics.accuracy_score` with every answer outside the set as one more class.
    """

    name: ClassVar[str] = "accuracy"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The mean of the scorer `label`."""
        return mean_of(rows, score_called("label"))
