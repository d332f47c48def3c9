"""Scorer: how far down a ranked list stands the first right item."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._ranked import grades, items
from tunesmith.evaluate.scorers._unscored import incomparable


@dataclass(frozen=True)
class ReciprocalRank:
    """1 over the place of the first item that the reference names as worth anything; 0 where none is listed.

    The mean over rows is MRR; with one right item a row it is scikit-learn's `label_ranking_average_precision_score`.
    The answer is a list, one item a line; see the scorer `ndcg` for the reference.
    """

    def score(self, example: Example, answer: Answer) -> Score:
        """In [0, 1]; unscored where the answerer failed, or nothing in the reference is worth anything."""
        if (no := incomparable(example, answer)) is not None:
            return no
        right = {item for item, worth in grades(example.reference).items() if worth > 0}
        if not right:
            return Score(value=None, unscored="no-grades-in-reference")
        places = [place for place, item in enumerate(items(answer.text), start=1) if item in right]
        return Score(value=1 / places[0] if places else 0.0)
