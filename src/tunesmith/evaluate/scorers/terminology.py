"""Scorer: how many of the reference's domain terms does the answer use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers.exact_match import normalised


@dataclass(frozen=True)
class Terminology:
    """Share of the domain terms in the reference that also stand in the answer.

    A term is met as whole words, case and width ignored (in Chinese, as a run of characters). Terms that the
    reference does not hold are not asked for; a row whose reference holds none is unscored, not perfect.

    Args:
        terms: the domain's vocabulary.
    """

    terms: tuple[str, ...] = ()

    def score(self, example: Example, answer: Answer) -> Score:
        """Share in [0, 1]; unscored where the answerer failed, or no term is asked for."""
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        if not self.terms:
            return Score(value=None, unscored="no-terms-in-profile")
        asked = found_terms(example.reference, self.terms)
        if not asked:
            return Score(value=None, unscored="no-terms-in-reference")
        return Score(value=len(found_terms(answer.text, asked)) / len(asked))


def found_terms(text: str, terms: Sequence[str]) -> list[str]:
    """The terms that stand in `text`, in the order given."""
    folded = normalised(text)
    return [term for term in terms if _pattern(term).search(folded)]


def _pattern(term: str) -> re.Pattern[str]:
    form = normalised(term)
    before = r"(?<![^\W\u3400-\u9fff])" if re.match(r"\w", form) else ""
    after = r"(?![^\W\u3400-\u9fff])" if re.search(r"\w$", form) else ""
    if form and "\u3400" <= form[0] <= "\u9fff":
        before = ""
    if form and "\u3400" <= form[-1] <= "\u9fff":
        after = ""
    return re.compile(before + re.escape(form) + after) if form else re.compile(r"(?!)")
