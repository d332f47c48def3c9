"""Metric: what an answer costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Score
from tunesmith.evaluate.metric import RowMetric, Statistic, mean_of
from tunesmith.evaluate.metrics.tokens_per_answer import generated
from tunesmith.evaluate.rows import Row


@dataclass(frozen=True)
class CostPerAnswer(RowMetric):
    """Mean cost of an answer, in the currency of the prices; a machine of one's own costs by the second.

    Args:
        prompt: price of a million prompt tokens.
        answer: price of a million answer or reasoning tokens.
        hour: price of an hour of the machine, by the wall time of the answers.
    """

    prompt: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    answer: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    name: ClassVar[str] = "cost_per_answer"
    unit: ClassVar[str] = "cost"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """A mean; answers whose tokens nobody counted are unscored, and all of them where no price is given."""
        return mean_of(rows, self._cost)

    def _cost(self, row: Row) -> Score:
        if not (self.prompt or self.answer or self.hour):
            return Score(value=None, unscored="no-price-given")
        tokens = generated(row)
        if tokens.value is None:
            return tokens
        usage = row.answer.usage
        by_token = (self.prompt * usage.prompt_tokens + self.answer * tokens.value) / 1e6
        return Score(value=by_token + self.hour * usage.seconds / 3600)
