"""Metric: how near ranked lists come to the best order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Ndcg(MeanMetric):
    """Mean over rows of nDCG (scorer `ndcg`), in [0, 1]."""

    name: ClassVar[str] = "ndcg"
    scorer: ClassVar[str] = "ndcg"
