"""Makers at work: self-instruct, facts, and a model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import tiny_model_folder
from synth_fakes import Fake, asked_row, context, document, documents, split, told
from tunesmith.core.events import Event
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message
from tunesmith.data.synthesize._teacher import Teacher
from tunesmith.data.synthesize._words import rouge_l, tokens
from tunesmith.data.synthesize.document_questions import DocumentQuestions
from tunesmith.data.synthesize.facts import Facts
from tunesmith.data.synthesize.self_instruct import SelfInstruct
from tunesmith.reason.answerer import open_answerer

SEEDS = [asked_row(f"How does part {n} of machine {n * 7} work in winter {n}?") for n in range(12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model with random weights."""
    return str(tiny_model_folder(tmp_path_factory.mktemp("teacher"), max_position_embeddings=4096))


def instruct(model: str, root: Path, fake: Fake, **settings: Any) -> tuple[list[Example], list[str]]:
    maker = SelfInstruct(Teacher(model=model), **settings)
    rows, drops = split(list(maker.make(SEEDS, context(root, open=fake.open))))
    return rows, [drop.reason for drop in drops]


def test_self_instruct_makes_the_rows_that_were_asked_for_all_unlike(model: str, tmp_path: Path) -> None:
    rows, drops = instruct(model, tmp_path, Fake(), rows=10, per_prompt=2)
    assert len(rows) == 10
    assert set(drops) <= {"not-needed", "like-another"}
    asked = [tokens(row.messages[0].content) for row in [*SEEDS, *rows]]
    made = range(len(SEEDS), len(asked))
    assert all(rouge_l(asked[i], asked[j]) < 0.7 for i in made for j in range(i))
    assert {row.parent for row in rows} <= {seed.id for seed in SEEDS}


def test_self_instruct_ends_when_nothing_new_comes(model: str, tmp_path: Path) -> None:
    """One instruction is new; then three rounds of prompts bring it again and again."""

    def says(prompt: str) -> str:
        return "1. Name the parts of a centrifugal pump." if "numbered list" in prompt else "Casing, rotor, shaft."

    fake = Fake(says)
    rows, drops = instruct(model, tmp_path, fake, rows=50, per_prompt=5)
    assert [row.messages[0].content for row in rows] == ["Name the parts of a centrifugal pump."]
    assert set(drops) == {"like-another"} and len(drops) == 4 * 8 - 1  # one round with it, three without


def test_self_instruct_learns_the_language_of_its_seeds(model: str, tmp_path: Path) -> None:
    seen: list[str] = []

    def says(prompt: str) -> str:
        seen.append(prompt)
        return "1. Name the parts of a pump." if "编号" in prompt else "轴承和泵壳。"

    seeds = [asked_row("水泵为什么会漏水？", "密封老化。")]
    maker = SelfInstruct(Teacher(model=model), rows=1)
    _, drops = split(list(maker.make(seeds, context(tmp_path, open=Fake(says).open))))
    assert "编号的列表" in seen[0]
    assert {drop.reason for drop in drops} == {"other-language"}


def test_self_instruct_without_seeds_makes_nothing(model: str, tmp_path: Path) -> None:
    maker = SelfInstruct(Teacher(model=model))
    assert list(maker.make(documents(), context(tmp_path, open=None))) == []


def test_a_model_on_this_machine_is_opened_once_and_not_again_when_all_was_answered(model: str, tmp_path: Path) -> None:
    events: list[Event] = []
    fake, maker = Fake(), DocumentQuestions(Teacher(model=model))
    first = list(maker.make(documents(), context(tmp_path, events.append, open=fake.open)))
    assert (len(first), fake.opened, fake.asked) == (3, 1, 2)
    cost = told(events, "synthesize.document_questions")
    assert (cost["prompt_tokens"], cost["answer_tokens"], cost["seconds"], cost["cost"]) == (100, 20, 1.0, 0.0)
    assert list(maker.make(documents(), context(tmp_path, open=None))) == first


def test_the_same_question_is_asked_and_paid_for_once(model: str, tmp_path: Path) -> None:
    """Two equal documents and another one: two prompts; the second copy's row is like the first one's."""
    events: list[Event] = []
    rows = [documents()[0], documents()[0], documents()[1]]
    fake = Fake()
    made = list(DocumentQuestions(Teacher(model=model)).make(rows, context(tmp_path, events.append, open=fake.open)))
    assert fake.asked == told(events, "synthesize.document_questions")["prompts"] == 2
    assert [drop.reason for drop in split(made)[1]] == ["like-another"]


def test_a_real_tiny_model_says_nothing_readable_and_each_answer_is_counted(model: str, tmp_path: Path) -> None:
    """Random weights: two prompts, two answers, no row; the model's own words are what is dropped."""
    maker = DocumentQuestions(Teacher(model=model, at_most_tokens=8))
    rows, drops = split(list(maker.make(documents(), context(tmp_path, open=open_answerer))))
    assert rows == []
    assert len(drops) == 2
    assert {drop.reason for drop in drops} <= {"cut-off", "unreadable-answer", "empty-answer"}


def test_a_prompt_that_is_longer_than_the_model_reads_is_a_drop(tmp_path: Path) -> None:
    short = str(tiny_model_folder(tmp_path, max_position_embeddings=64))
    maker = DocumentQuestions(Teacher(model=short, at_most_tokens=8))
    _, drops = split(list(maker.make([documents()[0]], context(tmp_path, open=open_answerer))))
    assert [drop.reason for drop in drops] == ["prompt-too-long"]


def test_an_unknown_model_is_a_problem_of_check(tmp_path: Path) -> None:
    assert [p.code for p in DocumentQuestions(Teacher(model="smollm9")).check(tmp_path)] == ["unknown-model"]


def test_an_open_book_row_shows_the_passage_and_may_point_at_it(model: str, tmp_path: Path) -> None:
    def says(_: str) -> str:
        return (
            '[{"question": "What does the document say of gout?", "answer": "Gout is treated with colchicine.", '
            '"evidence": "Gout is treated with colchicine."}]'
        )

    closed, opened = (
        split(list(DocumentQuestions(Teacher(model=model), open_book=book).make(
            [documents()[0]], context(tmp_path / str(book), open=Fake(says).open))))
        for book in (False, True)
    )  # fmt: skip
    assert [drop.reason for drop in closed[1]] == ["points-at-document"]
    assert opened[0][0].messages[0].content.startswith("Gout is treated with colchicine. It comes back")


def test_a_long_document_is_asked_about_in_passages(model: str, tmp_path: Path) -> None:
    text = "\n\n".join(f"Disease{n} is treated with drug{n}. " + "Nobody knows why it is so. " * 6 for n in range(4))
    fake = Fake()
    list(
        DocumentQuestions(Teacher(model=model), passage_characters=200).make(
            [document(text)], context(tmp_path, open=fake.open)
        )
    )
    assert fake.asked == 4


def test_facts_need_no_model_and_their_rows_are_children(tmp_path: Path) -> None:
    """One fact with wordings of four kinds (no second object of the relation, so no false one)."""
    parent = asked_row("Anything?", "Fever suggests influenza.").model_copy(update={"group": "g1"})
    use = Use.model_validate({"use": "patterns", "domain": "medical"})
    made = list(Facts(extract=(use,), rows_per_fact=4).make([parent], context(tmp_path)))
    rows, drops = split(made)
    assert len(rows) == 4 and drops == []
    assert {(row.parent, row.group, row.split, row.place) for row in rows} == {(parent.id, "g1", "train", parent.place)}
    assert {row.attributes["phrasing"] for row in rows} == {"statement", "forward", "backward", "cloze"}
    assert rows[0].text is not None and "influenza" in rows[0].text


def test_rows_that_were_judged_bad_are_no_seeds(model: str, tmp_path: Path) -> None:
    bad = SEEDS[0].model_copy(update={"desirable": False})
    answered_twice = Example(id="x", messages=(Message(role="user", content="Only asked."),))
    assert list(SelfInstruct(Teacher(model=model)).make([bad, answered_twice], context(tmp_path))) == []
