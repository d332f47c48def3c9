"""Metric: time that 95 of 100 single requests stay under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunesmith.core.types import Score
from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import Floats


@dataclass(frozen=True)
class LatencyP95Ms(RowMetric):
    """95th percentile of the wall time of one whole answer, in milliseconds, on this machine.

    Meant for rows that were asked one at a time: in a batch, time is divided among its rows and tells throughput
    instead. The percentile is the smallest time that at least 95 % of the rows do not exceed.
    """

    name: ClassVar[str] = "latency_p95_ms"
    unit: ClassVar[str] = "ms"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """A weighted quantile; rows without a time are unscored."""
        timed = mean_of(rows, _milliseconds)
        times_N = timed.per_row_N if timed.per_row_N is not None else np.zeros(0)
        order = np.argsort(times_N, kind="stable")

        def kernel(weights_RN: Floats) -> Floats:
            if not len(times_N):
                return np.full(len(weights_RN), np.nan)
            reached_RN = np.cumsum(weights_RN[:, order], axis=1)
            first_R = (reached_RN >= 0.95 * reached_RN[:, -1:] - 1e-9).argmax(axis=1)
            return np.asarray(times_N[order][first_R], dtype=np.float64)

        return Statistic(timed.rows, timed.unscored, kernel)


def _milliseconds(row: Row) -> Score:
    seconds = row.answer.usage.seconds
    return Score(value=1000 * seconds) if seconds > 0 else Score(value=None, unscored="no-time-measured")
