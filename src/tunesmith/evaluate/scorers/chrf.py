"""Scorer: chrF of one answer through sacrebleu."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable


@dataclass(frozen=True)
class Chrf:
    """Sentence chrF in [0, 1] (Popović 2015), as `sacrebleu.sentence_chrf` computes it (divided by 100).

    Runs of characters are compared, so it needs no words and serves Chinese as it serves English.

    Args:
        word_order: 0: characters alone (chrF); 2: runs of one and two words too (chrF++).
    """

    word_order: Literal[0, 2] = 0

    def score(self, example: Example, answer: Answer) -> Score:
        """chrF; unscored where the answerer failed or the row has no reference."""
        if (no := incomparable(example, answer)) is not None:
            return no
        found = _scorer(self.word_order).sentence_score(answer.text, [example.reference])
        return Score(value=min(1.0, float(found.score) / 100))


@cache
def _scorer(word_order: int) -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=word_order)
