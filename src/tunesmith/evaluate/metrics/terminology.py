"""Metric: share of the asked domain terms that the answers use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of, score_called
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class Terminology(RowMetric):
    """Mean over rows of the share of the reference's domain terms that the answer uses (scorer `terminology`)."""

    name: ClassVar[str] = "terminology"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The mean of the scorer `terminology`."""
        return mean_of(rows, score_called("terminology"))
