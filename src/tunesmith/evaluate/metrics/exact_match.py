"""Metric: share of answers equal to their reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of, score_called
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class ExactMatch(RowMetric):
    """Share of answers that equal their reference after normalising (scorer `exact_match`)."""

    name: ClassVar[str] = "exact_match"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The mean of the scorer `exact_match`."""
        return mean_of(rows, score_called("exact_match"))
