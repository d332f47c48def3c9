"""Scored rows from short tables, for tests of scorers and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.types import Answer, Example, Message, Usage
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scoring import score_rows
from tunesmith.evaluate.spec import SCORERS


def example(number: int, reference: str, group: str | None = None) -> Example:
    messages = (Message(role="user", content=f"question {number}"), Message(role="assistant", content=reference))
    return Example(id=f"ex-{number}", messages=messages, target=reference, group=group)


def answered(text: str, *, seconds: float = 0.5, confidence: float | None = 0.7, tokens: int = 5) -> Answer:
    return Answer(text=text, confidence=confidence, usage=Usage(answer_tokens=tokens, seconds=seconds))


def scored(
    pairs: Sequence[tuple[str, str]], *, labels: tuple[str, ...] = (), groups: Sequence[str | None] = ()
) -> list[Row]:
    """One row per (reference, answer), scored by every scorer of the shelf."""
    given: dict[str, dict[str, object]] = {
        "label": {"labels": labels},
        "terminology": {"terms": ("alpha", "beta", "cat")},
    }
    scorers = {
        name: SCORERS.build({"use": name, **given.get(name, {})}) for name in SCORERS.names() if name != "similarity"
    }
    examples = [example(n, pair[0], groups[n] if groups else None) for n, pair in enumerate(pairs)]
    answers = {
        e.id: answered(pair[1], seconds=0.1 + 0.1 * n) for n, (e, pair) in enumerate(zip(examples, pairs, strict=True))
    }
    return score_rows(examples, answers, scorers=scorers, labels=labels)
