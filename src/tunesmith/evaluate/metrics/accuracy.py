"""Metric: share of rows with the right label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Accuracy(MeanMetric):
    """Share of rows answered with the right label; an answer outside the set counts as wrong.

    Equals `sklearn.metrics.accuracy_score` with every answer outside the set as one more class.
    """

    name: ClassVar[str] = "accuracy"
    scorer: ClassVar[str] = "label"
