"""Metric: how well answers cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class CitationF1(MeanMetric):
    """Mean over rows of the F1 of cited sources (scorer `citation`), in [0, 1]."""

    name: ClassVar[str] = "citation_f1"
    scorer: ClassVar[str] = "citation"
