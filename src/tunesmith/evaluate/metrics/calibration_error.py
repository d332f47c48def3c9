"""Metric: how far stated confidence is from being right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunesmith.evaluate.metric import RowMetric, Statistic, score_called
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import Floats


@dataclass(frozen=True)
class CalibrationError(RowMetric):
    """Expected calibration error in [0, 1] with bins of equal width (Naeini et al. 2015, eq. 1).

    Per bin of confidence: the distance of mean confidence and share right, weighted by the bin's share of rows.

    Args:
        bins: number of bins over [0, 1].
    """

    bins: int = 10

    name: ClassVar[str] = "calibration_error"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """Sums per bin; rows without a confidence or without a label score are unscored."""
        right = score_called("label")
        why = ["no-confidence" if row.answer.confidence is None else right(row).unscored for row in rows]
        kept = [row for row, reason in zip(rows, why, strict=True) if not reason]
        confidence_N = np.array([row.answer.confidence for row in kept], dtype=np.float64)
        gap_N = np.array([right(row).value for row in kept], dtype=np.float64) - confidence_N
        bin_N = np.minimum((confidence_N * self.bins).astype(int), self.bins - 1)
        gap_NK: Floats = np.eye(self.bins)[bin_N].reshape(len(kept), self.bins) * gap_N[:, None]

        def kernel(weights_RN: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray(np.abs(weights_RN @ gap_NK).sum(axis=1) / weights_RN.sum(axis=1), dtype=np.float64)

        return Statistic(tuple(kept), Counter(reason for reason in why if reason), kernel)
