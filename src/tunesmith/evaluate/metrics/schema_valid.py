"""Metric: share of answers of the asked JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.metric import MeanMetric


@dataclass(frozen=True)
class SchemaValid(MeanMetric):
    """Share of answers that are JSON and that the schema of the scorer `valid_json` accepts."""

    name: ClassVar[str] = "schema_valid"
    scorer: ClassVar[str] = "valid_json"
