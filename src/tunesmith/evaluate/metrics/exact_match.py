"""Metric: share of answers equal to their reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class ExactMatch(MeanMetric):
    """Share of answers that equal their reference after normalising (scorer `exact_match`)."""

    name: ClassVar[str] = "exact_match"
    scorer: ClassVar[str] = "exact_match"
