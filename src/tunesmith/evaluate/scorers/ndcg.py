"""Scorer: how near does a ranked list come to the best order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._ranked import grades, items
from tunesmith.evaluate.scorers._unscored import incomparable


@dataclass(frozen=True)
class Ndcg:
    """Normalised discounted cumulative gain in [0, 1] (Järvelin and Kekäläinen 2002), as scikit-learn's `ndcg_score`.

    The answer is a list, one item a line. The reference is one too: `ITEM | GRADE`, or without grades from best to
    worst, the last worth 1. Items that the reference does not name are worth 0 and take up a place; items that the
    answer leaves out gain nothing. An answer that names them all gets exactly scikit-learn's figure.

    Args:
        first: only so many places count; empty: all.
    """

    first: Annotated[int, Field(ge=1)] | None = None

    def score(self, example: Example, answer: Answer) -> Score:
        """nDCG; unscored where the answerer failed, or nothing in the reference is worth anything."""
        if (no := incomparable(example, answer)) is not None:
            return no
        worth = grades(example.reference)
        if not any(worth.values()):
            return Score(value=None, unscored="no-grades-in-reference")
        gains = [worth.get(item, 0.0) for item in items(answer.text)]
        best = self._gain(sorted(worth.values(), reverse=True))
        return Score(value=min(1.0, self._gain(gains) / best))

    def _gain(self, gains: list[float]) -> float:
        """Discounted cumulative gain of items in this order; scikit-learn asks for two items at least."""
        from sklearn.metrics import dcg_score

        padded = [*gains, 0.0, 0.0]
        return float(dcg_score([padded], [range(len(padded), 0, -1)], k=self.first))
