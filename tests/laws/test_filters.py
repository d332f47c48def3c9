"""What every filter on the shelf promises."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Example, Message, Refusal, example_id

FILTERS = Shelf("filters", "tunesmith.data.filter")
NAMES = FILTERS.names()
TEXTS = [
    "",
    "a",
    "One sentence of plain English.",
    "一句中文。",
    "x" * 5000,
    "\u200b\ufeff",
    "é" * 40,
    "1 2 3\n\n- a\n- b\n",
]


def row(text: str, answer: str | None = None) -> Example:
    asked = Message(role="user", content=text)
    said = (asked,) if answer is None else (asked, Message(role="assistant", content=answer))
    return Example(id=example_id(said, answer), messages=said, target=answer, place="f:1")


ROWS = [row(text, answer) for text in TEXTS for answer in (None, "yes", "")]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_is_frozen_and_decides_by_one_row_or_by_all(name: str) -> None:
    built = FILTERS.build(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.other = 1
    assert hasattr(built, "judge") != (hasattr(built, "note") and hasattr(built, "decide"))
    assert len(FILTERS.about(name)) > 20


@pytest.mark.parametrize("name", NAMES)
def test_the_same_row_gets_the_same_word_whatever_came_before(name: str) -> None:
    built = FILTERS.build(name)
    if hasattr(built, "judge"):
        first = [built.judge(example) for example in ROWS]
        assert [built.judge(example) for example in reversed(ROWS)] == first[::-1]
    else:
        notes = [json.loads(json.dumps(built.note(example))) for example in ROWS]
        first = list(built.decide(notes))
        assert list(built.decide(notes)) == first
        assert len(first) == len(ROWS)
    assert all(word is None or (isinstance(word, Refusal) and word.reason) for word in first)
