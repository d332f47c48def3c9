"""The smallest real model as teacher: what it yields on five abstracts is little, and all of it is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared_data import rows_of

from synth_fakes import context, document, split, told
from tunesmith.core.events import Event
from tunesmith.data.synthesize._teacher import Teacher
from tunesmith.data.synthesize._words import known_numbers, numbers
from tunesmith.data.synthesize.document_questions import DocumentQuestions
from tunesmith.reason.answerer import open_answerer

pytestmark = [pytest.mark.slow, pytest.mark.model]


def test_smollm2_on_five_abstracts(tmp_path: Path) -> None:
    texts = [" ".join(row["CONTEXTS"]) for row in rows_of("pubmedqa/train.jsonl")[:5]]
    events: list[Event] = []
    maker = DocumentQuestions(Teacher(model="smollm2-135m-instruct", at_most_tokens=256))
    where = context(tmp_path, events.append, open=open_answerer)
    rows, drops = split(list(maker.make([document(text, number) for number, text in enumerate(texts)], where)))
    cost = told(events, "synthesize.document_questions")
    assert (cost["sources"], cost["prompts"], cost["answered"], cost["asked"]) == (5, 5, 5, 15)
    assert cost["made"] == cost["kept"] + sum(cost["dropped"].values()) == len(rows) + len(drops) >= 5
    assert cost["prompt_tokens"] > 1000 and 0 < cost["answer_tokens"] <= 5 * 256
    for row in rows:
        source = texts[int(row.place.rpartition(":")[2])]
        assert numbers(row.messages[1].content) <= known_numbers(source)
