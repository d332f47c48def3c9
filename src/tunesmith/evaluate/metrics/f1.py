"""Metric: F1, macro or of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.classes import class_statistic, f1_of
from tunesmith.evaluate.metric import RowMetric, Statistic
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class F1(RowMetric):
    """Harmonic mean of precision and recall, in [0, 1].

    Macro: the plain mean over the classes that occur in the references. Equals scikit-learn's `f1_score` with those
    classes as `labels`, answers outside the set as one more class, and `zero_division=0`.

    Args:
        of: `macro`, or the label of one class.
    """

    of: str = "macro"

    name: ClassVar[str] = "f1"
    scorer: ClassVar[str] = "label"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """Counts per class; rows that the scorer `label` left unscored are counted by reason."""
        return class_statistic(rows, f1_of, of=self.of)
