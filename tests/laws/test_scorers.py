"""What every scorer of the shelf must do."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Example, Message
from tunesmith.evaluate.spec import SCORERS

SETTINGS: dict[str, dict[str, Any]] = {
    "label": {"labels": ("yes", "no")},
    "terminology": {"terms": ("yes", "no")},
    "term_use": {"terms": ("yes", "no")},
    "valid_json": {"json_schema": {"type": "object"}},
}
ANSWERS = {"numeric": ("it is 7", "8"), "citation": ("so [1]", "so [2]"), "valid_json": ("{}", "[]")}
"""What a right and a wrong answer look like where `yes` and `no` are none."""

FREE = {"valid_json"}
"""Scorers that need no reference: they judge the form of the answer."""

SILENT = {"term_use"}
"""Scorers that have nothing to say of an answer without a term."""

HEAVY = {"similarity"}
"""Scorers that need a model: tests of their own hold them to the same."""

NAMES = [name for name in SCORERS.names() if name not in HEAVY]

STRANGE = ["", " ", "\x00", "\U0001f600" * 50, "ye\u0301s" * 300, "(", "[a-z]*", "\u3000否\u3000"]


def build(name: str) -> Scorer:
    scorer: Scorer = SCORERS.build({"use": name, **SETTINGS.get(name, {})})
    return scorer


def row(reference: str) -> Example:
    messages = (Message(role="user", content="?"), Message(role="assistant", content=reference))
    return Example(id="ex-1", messages=messages, target=reference)


@pytest.mark.parametrize("name", NAMES)
def test_a_right_answer_is_one_and_a_wrong_one_less(name: str) -> None:
    scorer = build(name)
    right, wrong = ANSWERS.get(name, ("yes", "no"))
    assert scorer.score(row(right), Answer(text=right)).value == pytest.approx(1.0)
    assert (scorer.score(row(right), Answer(text=wrong)).value or 0.0) < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_answer_is_unscored_with_a_reason_and_never_zero(name: str) -> None:
    found = build(name).score(row("yes"), Answer(text="", stop="error"))
    assert found.value is None
    assert found.unscored == "answer-error"


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_reference_is_unscored_with_a_reason(name: str) -> None:
    found = build(name).score(row("  "), Answer(text="yes"))
    assert name in FREE or (found.value is None and found.unscored)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud83d\ude00" * 50, "ye\u0301s" * 300, "(", "[a-z]*", "\u3000否\u3000"]
)
def test_any_text_gives_a_value_between_zero_and_one(name: str, text: str) -> None:
    found = build(name).score(row(ANSWERS.get(name, ("yes", ""))[0]), Answer(text=text))
    if found.value is None:
        assert name in SILENT and found.unscored
    else:
        assert 0.0 <= found.value <= 1.0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_answer_gets_the_same_score_twice(name: str) -> None:
    scorer = build(name)
    assert scorer.score(row("yes"), Answer(text="yes no")) == scorer.score(row("yes"), Answer(text="yes no"))
