"""Metric: share of the asked domain terms that the answers use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Terminology(MeanMetric):
    """Mean over rows of the share of the reference's domain terms that the answer uses (scorer `terminology`)."""

    name: ClassVar[str] = "terminology"
    scorer: ClassVar[str] = "terminology"
