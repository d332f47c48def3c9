"""Metric: share of answers of the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import Score
from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class ValidOutput(RowMetric):
    """Share of answers of the form that was asked for.

    With a closed set: the answer is exactly one of its labels after normalising. Without one: the answer is not
    empty and ended by itself instead of running into the token limit. An answer that the answerer failed to give
    is invalid too.
    """

    name: ClassVar[str] = "valid_output"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """Every row is scored."""
        return mean_of(rows, lambda row: Score(value=float(is_valid(row))))


def is_valid(row: Row) -> bool:
    """Whether the answer has the form that was asked for."""
    if row.answer.stop == "error":
        return False
    if row.expected is not None or row.predicted is not None:
        return row.predicted is not None
    return bool(row.answer.text.strip()) and row.answer.stop == "end"
