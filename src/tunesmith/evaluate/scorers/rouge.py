"""Scorer: ROUGE F-measure of one answer through Google's rouge-score."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tunesmith.core.types import Answer, Example, Score

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORDS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")


@dataclass(frozen=True)
class Rouge:
    """ROUGE F-measure in [0, 1] (Lin 2004), as rouge-score computes it, without stemming.

    Where the reference holds Chinese characters, every such character is a word: rouge-score's own tokeniser would
    drop them all and call any two Chinese texts unrelated.

    Args:
        kind: `rougeL` (longest common subsequence), `rouge1` or `rouge2`.
    """

    kind: Literal["rougeL", "rouge1", "rouge2"] = "rougeL"

    def score(self, example: Example, answer: Answer) -> Score:
        """F-measure; unscored where the answerer failed or the row has no reference."""
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        if not example.reference.strip():
            return Score(value=None, unscored="no-reference")
        scorer = _scorer(self.kind, has_han(example.reference))
        return Score(value=float(scorer.score(example.reference, answer.text)[self.kind].fmeasure))


class _CharacterTokenizer:
    """Chinese characters and words of other scripts, lower case; has the method that rouge-score asks for."""

    def tokenize(self, text: str) -> list[str]:
        """The words of `text`."""
        return _WORDS.findall(text.lower())


@cache
def _scorer(kind: str, han: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_CharacterTokenizer() if han else None)


def has_han(text: str) -> bool:
    """Whether `text` holds a Chinese character."""
    return bool(_HAN.search(text))
