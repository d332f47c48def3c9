"""Metric: mean chrF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class Chrf(MeanMetric):
    """Mean over rows of sentence chrF (scorer `chrf`), in [0, 1]; not corpus chrF."""

    name: ClassVar[str] = "chrf"
    scorer: ClassVar[str] = "chrf"
