"""Scorer: does the answer say the same as the reference, letter by letter after normalising."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Score


@dataclass(frozen=True)
class ExactMatch:
    """1 where answer and reference are equal after normalising, else 0.

    Normalising is NFKC, case folding, single spaces, and no quotes, asterisks or sentence marks around the whole.
    Numbers are compared as they are written: `1,000` is not `1000`.

    Args:
        normalise: False compares the texts with only the outer white space removed.
    """

    normalise: bool = True

    def score(self, example: Example, answer: Answer) -> Score:
        """1 or 0; unscored where the answerer failed or the row has no reference."""
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        if not example.reference.strip():
            return Score(value=None, unscored="no-reference")
        form = normalised if self.normalise else str.strip
        return Score(value=float(form(answer.text) == form(example.reference)))


def normalised(text: str) -> str:
    """NFKC, case folded, single spaces, without marks around the whole (`**Yes.**` -> `yes`)."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(" \"'`*_.,:;!?“”‘’「」。，：；！？")
