"""Metric: mean reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Mrr(MeanMetric):
    """Mean over rows of 1 over the place of the first right item (scorer `reciprocal_rank`), in [0, 1]."""

    name: ClassVar[str] = "mrr"
    scorer: ClassVar[str] = "reciprocal_rank"
