"""Metric: steps of the reference's procedure that the answers hold in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class ProcessCoverage(MeanMetric):
    """Mean over rows of the share of steps that are present and in order (scorer `process`), in [0, 1]."""

    name: ClassVar[str] = "process_coverage"
    scorer: ClassVar[str] = "process"
