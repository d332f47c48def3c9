"""Metric: mean nearness in meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Similarity(MeanMetric):
    """Mean over rows of the cosine of answer and reference by a sentence encoder (scorer `similarity`), in [0, 1]."""

    name: ClassVar[str] = "similarity"
    scorer: ClassVar[str] = "similarity"
