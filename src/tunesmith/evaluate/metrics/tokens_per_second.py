"""Metric: tokens answered per second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunesmith.evaluate.metric import RowMetric, Statistic
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import Floats


@dataclass(frozen=True)
class TokensPerSecond(RowMetric):
    """Answer and reasoning tokens of all rows divided by their wall time, batches as they ran, on this machine."""

    name: ClassVar[str] = "tokens_per_second"
    unit: ClassVar[str] = "tokens/s"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """A ratio of sums; rows without a time are unscored."""
        kept = [row for row in rows if row.answer.usage.seconds > 0]
        unscored = Counter({"no-time-measured": len(rows) - len(kept)} if len(kept) < len(rows) else {})
        usages = [row.answer.usage for row in kept]
        tokens_N = np.array([u.answer_tokens + u.reasoning_tokens for u in usages], dtype=np.float64)
        seconds_N = np.array([u.seconds for u in usages], dtype=np.float64)

        def kernel(weights_RN: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray((weights_RN @ tokens_N) / (weights_RN @ seconds_N), dtype=np.float64)

        return Statistic(tuple(kept), unscored, kernel)
