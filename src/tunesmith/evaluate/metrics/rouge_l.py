"""Metric: mean ROUGE-L."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of, score_called
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class RougeL(RowMetric):
    """Mean over rows of the ROUGE-L F-measure (scorer `rouge`), in [0, 1]."""

    name: ClassVar[str] = "rouge_l"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The mean of the scorer `rouge`."""
        return mean_of(rows, score_called("rouge"))
