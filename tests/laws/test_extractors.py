"""What every extractor on the shelf promises."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import UserError
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Triple
from tunesmith.data.knowledge.normal import phrase_key, relation_key

EXTRACTORS = Shelf("extractors", "tunesmith.data.extract")
CASES = [
    {"use": "dependency", "language": "en"},
    {"use": "dependency", "language": "zh"},
    {"use": "patterns", "domain": "medical", "language": "en"},
    {"use": "patterns", "domain": "medical", "language": "zh"},
]
NAMES = [f"{case['use']}-{case['language']}" for case in CASES]
PIECES = st.sampled_from(
    ["Fever ", "suggests ", "pneumonia", ". ", "The pump ", "does not ", "supply ", "oil", "; ", "\n", "(AML) ",
     "12 % ", "肺炎",
     "的症状包括", "发热", "、", "不", "引起", "。", "由", "被", "\x00", "\u202e", "diagnosis: ", "，"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=15).map("".join))


@cache
def opened(number: int) -> Any:
    try:
        return EXTRACTORS.build(CASES[number]).open(Path())
    except UserError as error:
        return error


def reader(number: int) -> Any:
    found = opened(number)
    if isinstance(found, UserError):
        pytest.skip(f"needs the extra 'extract' (and once the network): {found}")
    return found


def test_every_extractor_has_a_case() -> None:
    assert {case["use"] for case in CASES} == set(EXTRACTORS.names())


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_evidence_is_where_it_says_and_keys_are_made_of_names(number: int, text: str) -> None:
    read = reader(number)
    triples: list[Triple] = read(text)
    assert triples == read(text)
    for one in triples:
        assert text[one.evidence.start : one.evidence.end] == one.evidence.sentence
        keys = phrase_key(one.subject), relation_key(one.relation), phrase_key(one.object)
        assert keys == (one.subject_key, one.relation_key, one.object_key)
        assert all(keys) and one.subject_key != one.object_key
        assert 0 < one.confidence <= 1 and one.language == CASES[number]["language"]


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_a_sentence_is_read_alike_wherever_it_stands(number: int) -> None:
    read = reader(number)
    sentence = {"en": "Gout is treated with colchicine.", "zh": "肺炎的症状包括发热。"}[CASES[number]["language"]]
    before = {"en": "Nobody knows. ", "zh": "无人知晓。"}[CASES[number]["language"]]
    alone, later = read(sentence), read(before + sentence)
    assert alone
    assert [(t.subject, t.relation, t.object) for t in alone] == [
        (t.subject, t.relation, t.object) for t in later if t.evidence.start == len(before)
    ]


@pytest.mark.parametrize("name", EXTRACTORS.names())
def test_settings_are_frozen_and_the_first_line_says_what_it_does(name: str) -> None:
    built = EXTRACTORS.get(name)()
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.other = 1
    assert len(EXTRACTORS.about(name)) > 20
