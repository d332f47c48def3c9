"""Metric: mean ROUGE-L."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class RougeL(MeanMetric):
    """Mean over rows of the ROUGE-L F-measure (scorer `rouge`), in [0, 1]."""

    name: ClassVar[str] = "rouge_l"
    scorer: ClassVar[str] = "rouge"
