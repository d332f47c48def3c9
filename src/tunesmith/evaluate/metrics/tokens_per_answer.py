"""Metric: tokens that an answer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import Score
from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class TokensPerAnswer(RowMetric):
    """Mean over rows of answer and reasoning tokens; those of all sampled paths, where there are several."""

    name: ClassVar[str] = "tokens_per_answer"
    unit: ClassVar[str] = "tokens"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """A mean; answers that failed, or whose tokens nobody counted, are unscored."""
        return mean_of(rows, generated)


def generated(row: Row) -> Score:
    """The tokens that were generated."""
    usage = row.answer.usage
    if row.answer.stop == "error" or usage.prompt_tokens + usage.answer_tokens == 0:
        return Score(value=None, unscored="no-tokens-counted")
    return Score(value=float(usage.answer_tokens + usage.reasoning_tokens))
