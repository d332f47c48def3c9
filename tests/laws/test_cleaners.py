"""What every cleaner on the shelf promises."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.protocols import Cleaner
from tunesmith.core.shelf import Shelf

CLEANERS = Shelf("cleaners", "tunesmith.data.clean")
NAMES = CLEANERS.names()

TAGS = ["<p>", "</p>", "<br/>", "<div class='x'>", "</div>", "<td>", "</td>", "</b>", "<pre>", "</pre>", "<image>"]
TRAPS = [
    "<script>",
    "</script>",
    "<textarea>",
    "</textarea>",
    "<!doctype html>",
    "<!--",
    "-->",
    "&lt;p&gt;",
    "&amp;lt;",
]
WORDS = [
    "schÃ¶n",
    "â€œ",
    "Ã¢â‚¬",
    "é",
    "e\u0301",
    "ﬁ",
    "中文，",
    "Ａ１．",
    "Ã\u00a0",
    "\u3000",
    " ",
    "\n",
    "\t",
    "5 < 6",
    "a",
    "&lt;/b&gt;",
]
UNSEEN = ["\u200b", "\u202e", "\ufeff", "\x00", "\x1b[0m", "\r\n", "\u2028", "\ufdd0"]
PIECES = st.sampled_from([*TAGS, *TRAPS, *WORDS, *UNSEEN])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))

PLAIN = [
    "",
    "5 < 6 and a > b",
    "if x < y: return List<String>(a)",
    "<think>first</think>then",
    "Bluthochdruck, 140/90 mmHg; “schön” – 诊断：高血压。",
    "line one\nline two\tcell",
]


@pytest.fixture(params=NAMES)
def cleaner(request: pytest.FixtureRequest) -> Cleaner:
    built: Cleaner = CLEANERS.build(request.param)
    return built


def test_there_are_cleaners() -> None:
    assert {"unicode", "html"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_cleaning_twice_changes_nothing_more(name: str, text: str) -> None:
    cleaner = CLEANERS.build(name)
    once = cleaner.clean(text)
    assert cleaner.clean(once) == once


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_faults_stays_as_it_is(cleaner: Cleaner, text: str) -> None:
    assert cleaner.clean(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen_and_the_first_line_says_what_it_does(name: str) -> None:
    factory = CLEANERS.get(name)
    built = factory()
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.other = 1
    assert len(CLEANERS.about(name)) > 20
