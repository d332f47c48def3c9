"""What every scorer of the shelf must do."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Example, Message
from tunesmith.evaluate.spec import SCORERS

SETTINGS: dict[str, dict[str, Any]] = {"label": {"labels": ("yes", "no")}, "terminology": {"terms": ("yes", "no")}}

STRANGE = ["", " ", "\x00", "\U0001f600" * 50, "ye\u0301s" * 300, "(", "[a-z]*", "\u3000否\u3000"]


def build(name: str) -> Scorer:
    scorer: Scorer = SCORERS.build({"use": name, **SETTINGS.get(name, {})})
    return scorer


def row(reference: str) -> Example:
    messages = (Message(role="user", content="?"), Message(role="assistant", content=reference))
    return Example(id="ex-1", messages=messages, target=reference)


@pytest.mark.parametrize("name", SCORERS.names())
def test_a_right_answer_is_one_and_a_wrong_one_less(name: str) -> None:
    scorer = build(name)
    assert scorer.score(row("yes"), Answer(text="yes")).value == pytest.approx(1.0)
    assert (scorer.score(row("yes"), Answer(text="no")).value or 0.0) < 0.5


@pytest.mark.parametrize("name", SCORERS.names())
def test_a_failed_answer_is_unscored_with_a_reason_and_never_zero(name: str) -> None:
    found = build(name).score(row("yes"), Answer(text="", stop="error"))
    assert found.value is None
    assert found.unscored == "answer-error"


@pytest.mark.parametrize("name", SCORERS.names())
def test_a_row_without_reference_is_unscored_with_a_reason(name: str) -> None:
    found = build(name).score(row("  "), Answer(text="yes"))
    assert found.value is None
    assert found.unscored


@pytest.mark.parametrize("name", SCORERS.names())
@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud83d\ude00" * 50, "ye\u0301s" * 300, "(", "[a-z]*", "\u3000否\u3000"]
)
def test_any_text_gives_a_value_between_zero_and_one(name: str, text: str) -> None:
    value = build(name).score(row("yes"), Answer(text=text)).value
    assert value is not None and 0.0 <= value <= 1.0


@pytest.mark.parametrize("name", SCORERS.names())
def test_the_same_answer_gets_the_same_score_twice(name: str) -> None:
    scorer = build(name)
    assert scorer.score(row("yes"), Answer(text="yes no")) == scorer.score(row("yes"), Answer(text="yes no"))
