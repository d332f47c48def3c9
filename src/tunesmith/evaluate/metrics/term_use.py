"""Metric: share of the used domain terms that are used rightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class TermUse(MeanMetric):
    """Mean over rows of the share of used domain terms that are the right ones (scorer `term_use`), in [0, 1]."""

    name: ClassVar[str] = "term_use"
    scorer: ClassVar[str] = "term_use"
