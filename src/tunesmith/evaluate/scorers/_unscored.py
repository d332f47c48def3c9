"""What every scorer that compares with a reference cannot judge."""

from __future__ import annotations

from tunesmith.core.types import Answer, Example, Score


def incomparable(example: Example, answer: Answer) -> Score | None:
    """Unscored with the reason where the answerer failed or the row has no reference; None where it can be judged."""
    if answer.stop == "error":
        return Score(value=None, unscored="answer-error")
    if not example.reference.strip():
        return Score(value=None, unscored="no-reference")
    return None
