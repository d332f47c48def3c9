"""Scorer: which label of the closed set does the answer name, and is it the right one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers.exact_match import normalised


@dataclass(frozen=True)
class Label:
    """1 where the answer is the reference's label, 0 for another label or none of the set.

    The whole answer must be the label after normalising (case, width, spaces, marks around it). Nothing is guessed:
    "It is probably Diabetes" is outside the set, counts as wrong, and as invalid for `valid_output`.

    Args:
        labels: the closed set of answers.
    """

    labels: tuple[str, ...] = ()

    def score(self, example: Example, answer: Answer) -> Score:
        """1 or 0; unscored where the answerer failed, there is no set, or the reference names no label of it."""
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        if not self.labels:
            return Score(value=None, unscored="no-closed-set")
        expected = find_label(example.reference, self.labels)
        if expected is None:
            return Score(value=None, unscored="reference-outside-labels")
        return Score(value=float(find_label(answer.text, self.labels) == expected))


def find_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that `text` names, None if it names none of the set.

    A label that differs from another only by what normalising removes must be met letter by letter.
    """
    bare = text.strip()
    if bare in labels:
        return bare
    forms = Counter(normalised(label) for label in labels)
    wanted = normalised(text)
    return next((label for label in labels if forms[wanted] == 1 and normalised(label) == wanted), None)
