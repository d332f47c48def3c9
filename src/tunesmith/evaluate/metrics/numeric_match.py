"""Metric: share of answers with the right number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class NumericMatch(MeanMetric):
    """Share of answers whose last number is the reference's within the tolerance of the scorer `numeric`."""

    name: ClassVar[str] = "numeric_match"
    scorer: ClassVar[str] = "numeric"
