"""Scorer: sentence BLEU of one answer through sacrebleu, for ranking examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers.rouge import has_han


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU in [0, 1] with exponential smoothing, as `sacrebleu.sentence_bleu` computes it (divided by 100).

    Sentence BLEU ranks single answers; the metric `bleu` is corpus BLEU and not the mean of these. Chinese
    references are cut into characters (sacrebleu's `zh`), all others by `13a`.
    """

    def score(self, example: Example, answer: Answer) -> Score:
        """BLEU; unscored where the answerer failed or the row has no reference."""
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        if not example.reference.strip():
            return Score(value=None, unscored="no-reference")
        scorer = _scorer("zh" if has_han(example.reference) else "13a")
        return Score(value=float(scorer.sentence_score(answer.text, [example.reference]).score) / 100)


@cache
def _scorer(tokenizer: str) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=True, tokenize=tokenizer)
