"""What every filter on the shelf promises."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Example, Message, Refusal

FILTERS = Shelf("filters", "tunesmith.data.filter")
NAMES = FILTERS.names()
PIECES = [
    "a",
    "the of and ",
    "\n",
    "#",
    "...",
    "。",
    "高血压",
    "王小红",
    "13800138000",
    "a@b.org ",
    "\u200b",
    "fuck ",
    "{",
    "- x\n",
    "é",
    "\ud800",
]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


def row(content: str, answer: str | None = None) -> Example:
    turns = [Message(role="user", content=content)]
    if answer is not None:
        turns.append(Message(role="assistant", content=answer, reasoning=content[:5] or None))
    return Example(id="ex-1", messages=tuple(turns), source="s", place="f:1")


ROWS = st.one_of(TEXTS.map(row), st.tuples(TEXTS, TEXTS).map(lambda pair: row(*pair)))
GOOD = row(
    "The patient was admitted with chest pain and fever. He had been treated for high blood pressure in the past.\n"
    "After two days of treatment with aspirin, the pain was gone and he could be discharged to his home. "
    "The doctor told him that he should have his blood pressure measured every week and come back after a month.\n"
    "Nothing else was found in the tests that were made, and the family agreed with the plan."
)


def words(name: str, rows: list[Example]) -> list[Refusal | None]:
    """What the filter says of each row; the notes go through JSON, as on disk."""
    built: Any = FILTERS.build(name)
    if hasattr(built, "judge"):
        return [built.judge(each) for each in rows]
    return list(built.decide(json.loads(json.dumps([built.note(each) for each in rows]))))


def test_there_are_filters() -> None:
    assert {"gopher_quality", "gopher_repetition", "c4", "fineweb", "toxic", "poisoned", "personal_data"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_filter_of_one_row_or_of_the_corpus(name: str) -> None:
    built = FILTERS.build(name)
    assert hasattr(built, "judge") != (hasattr(built, "note") and hasattr(built, "decide"))


@pytest.mark.parametrize("name", NAMES)
def test_good_prose_and_a_short_conversation_go_on(name: str) -> None:
    assert words(name, [GOOD, row("What is 2 + 2?", "It is 4.")]) == [None, None]


@pytest.mark.parametrize("name", NAMES)
@given(rows=st.lists(ROWS, max_size=5))
@settings(max_examples=30, deadline=None)
def test_every_row_gets_one_word_and_always_the_same(name: str, rows: list[Example]) -> None:
    said = words(name, rows)
    assert len(said) == len(rows)
    assert said == words(name, rows)
    assert all(word is None or word.reason for word in said)


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(FILTERS.get(name), "judge")])
@given(rows=st.lists(ROWS, max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_row_is_judged_by_itself_alone(name: str, rows: list[Example]) -> None:
    assert words(name, rows) == list(reversed(words(name, list(reversed(rows)))))


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen_and_the_first_line_says_what_it_does(name: str) -> None:
    built = FILTERS.build(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.other = 1
    assert len(FILTERS.about(name)) > 20


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_judge_is_no_error(name: str) -> None:
    assert words(name, []) == []
    assert len(words(name, [row("")])) == 1
