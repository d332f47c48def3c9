"""What every augmenter on the shelf promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from augment_fakes import context, row, use_fakes
from tunesmith.core.errors import UserError
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example, Message, example_id

AUGMENTERS = Shelf("augmenters", "tunesmith.data.augment")
KINDS = ["wording", "polite", "options", "sentences", "typos", "noise"]
CASES: list[dict[str, Any]] = [
    {"use": "synonyms", "encoder": None, "copies": 2},
    {"use": "back_translation", "encoder": None},
    {"use": "perturb", "encoder": None, "copies": 6, "kinds": KINDS},
    {"use": "negatives", "copies": 4, "kinds": ["labels", "answers", "numbers", "refusals"]},
    {"use": "negatives", "kinds": ["counterfactuals"], "swap": [["man", "woman"]], "shift": {"age": 3}},
    {"use": "multi_turn"},
]
IDS = [f"{number}-{case['use']}" for number, case in enumerate(CASES)]
LONG = "The ward was calm. Doctors assessed 12 patients on it. Nobody was lost. " * 4
TEXTS = [
    ("A doctor assessed a man of age 40. What is the cause of the fever?", "It is an infection of the lung."),
    ("Is it true that doctors assess fever? Answer briefly.", "They measure it 3 times a day."),
    (f"{LONG}\n\nQuestion: Does pneumonia follow influenza?", "It follows in 20 of 100 cases."),
    ("The clinic was calm. " * 15 + "\n\nQuestion: Does gout follow alcohol?", "It does, in 7 of 100 cases of gout."),
    ("Which one?\nA. red\nB. green\nC. blue", "B"),
    ("一位患者经常发热，应该如何治疗肺炎？", "可以使用抗生素治疗，每天2次。"),
    ("一名患者诊断为肺炎，请问应该做哪些检查？", "需要做胸部X线检查和血常规检查。"),
    ("How can I assess fever?", "With a thermometer."),
]
OPEN = [row(question, answer, group=f"g{number // 2}") for number, (question, answer) in enumerate(TEXTS)]
CLOSED = [
    row(f"Doctors assessed case {n}. The ward was calm. Is a man of age {20 + n} ill?", label, target=label)
    for n, label in enumerate(["yes", "no"] * 6)
]
ROWS = [*OPEN, row("A doctor assessed a man who was calm. Is he ill? Why?", "He is. It is late.", target="He is.")]
HOSTILE = [
    "", " ", "\x00", "\ud800 doctor", "a\udfffb?", "🦜" * 50, "👩‍👩‍👧 doctors assessed?", "\u202eassess doctor\u202c?",
    "שלום עולם?", "مرحبا?", "?" * 800, "A. \nB. \nC. ", "A. a\nA. a", "(" * 800, '"' * 799, "a: " * 800,
    "患" * 800, "doctor " * 2000, "x" * 100_000, "请问" * 200, "\n" * 800, "1" * 400 + "?", "age 9" + "9" * 400,
    "{" * 800, "<" * 800, "`" * 800, "$1 $0 \\1?", "{0} {}?", "ﬁne ⅓ ² ½?", "A.\u2028B.\u2029?",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    pytest.importorskip("pypinyin", reason="Chinese slips need the extra 'augment'")


def made(case: dict[str, Any], rows: Sequence[Example], folder: Path) -> list[Example | Drop]:
    return list(AUGMENTERS.build(case).make(rows, context(folder)))


def children(case: dict[str, Any], rows: Sequence[Example], folder: Path) -> list[Example]:
    return [new for new in made(case, rows, folder) if isinstance(new, Example)]


def test_every_augmenter_has_a_case() -> None:
    assert {case["use"] for case in CASES} == set(AUGMENTERS.names())


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_same_rows_and_context_give_the_same_children(case: dict[str, Any], tmp_path: Path) -> None:
    first, second = (made(case, [*ROWS, *CLOSED], tmp_path / name) for name in "ab")
    assert first == second
    assert first == made(case, [*ROWS, *CLOSED], tmp_path / "a")  # what was asked before is not another answer
    assert any(isinstance(new, Example) for new in first)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("rows", [ROWS, CLOSED], ids=["open", "closed"])
def test_a_child_stands_where_its_parent_stands(case: dict[str, Any], rows: list[Example], tmp_path: Path) -> None:
    known = {each.id: each for each in rows}
    found = children(case, rows, tmp_path)
    assert len({new.id for new in found}) == len(found)
    for new in found:
        parent = known[new.parent or ""]
        assert new.id == example_id(new.messages, new.target, new.rejected) and new.id not in known
        assert new.group == (parent.group or parent.id)
        for name in ("split", "source", "licence", "place", "kind"):
            assert getattr(new, name) == getattr(parent, name)
        assert new.messages != parent.messages or new.rejected is not None
        assert new.rejected is None or new.rejected.content != new.messages[-1].content


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("rows", [ROWS, CLOSED], ids=["open", "closed"])
def test_the_answer_stays_unless_the_child_says_so(case: dict[str, Any], rows: list[Example], tmp_path: Path) -> None:
    known = {each.id: each for each in rows}
    for new in children(case, rows, tmp_path):
        parent = known[new.parent or ""]
        if new.attributes.get("perturbed") != "options" and new.attributes.get("negative") != "refusals":
            assert (new.target, new.reference) == (parent.target, parent.reference)
            assert new.messages[-1] == parent.messages[-1]


@pytest.mark.parametrize("case", CASES[:3], ids=IDS[:3])
def test_other_rows_do_not_change_the_children_of_a_row(case: dict[str, Any], tmp_path: Path) -> None:
    together = children(case, ROWS, tmp_path / "all")
    for number, each in enumerate(ROWS):
        alone = children(case, [each], tmp_path / str(number))
        assert alone == [new for new in together if new.parent == each.id]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_nothing_comes_of_nothing(case: dict[str, Any], tmp_path: Path) -> None:
    assert made(case, [], tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_hostile_text_never_crashes(case: dict[str, Any], tmp_path: Path) -> None:
    rows = [row(text, text or "a") for text in HOSTILE] + [row(text, "yes", target=text) for text in HOSTILE]
    rows += [row(f"Why does a doctor {text}?", f"A. {text}") for text in HOSTILE]
    for new in made(case, rows, tmp_path):
        assert isinstance(new, Example) or (new.reason and new.step == case["use"] and new.place)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_plain_texts_and_rows_with_a_verdict_have_no_children(case: dict[str, Any], tmp_path: Path) -> None:
    said = (Message(role="user", content="Doctors assessed a man of age 50. The ward was calm."),)
    text = Example(id=example_id(said, None), messages=said, split="train")
    judged = [each.model_copy(update={"desirable": False}) for each in OPEN]
    assert made(case, [text, *judged], tmp_path) == []


@pytest.mark.parametrize("name", AUGMENTERS.names())
def test_settings_are_frozen_and_wrong_ones_are_told_with_their_place(name: str) -> None:
    built = AUGMENTERS.build(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.share = 1
    assert len(AUGMENTERS.about(name)) > 20
    for wrong in ({"share": 2}, {"share": 0}, {"shares": 1}):
        problems = AUGMENTERS.problems({"use": name, **wrong}, where="data.augment[0]")
        assert [problem.path for problem in problems] == [f"data.augment[0].{next(iter(wrong))}"]


def test_settings_that_do_not_go_together_are_told_all_at_once() -> None:
    with pytest.raises(UserError) as told:
        AUGMENTERS.build({"use": "back_translation", "by": "folder", "codes": ["eng_Latn"], "model": "m"})
    assert [problem.path for problem in told.value.problems] == ["by", "codes", "endpoint"]
    with pytest.raises(UserError, match="no-rule"):
        AUGMENTERS.build({"use": "negatives", "kinds": ["counterfactuals"]})
    with pytest.raises(UserError, match="unused-rule"):
        AUGMENTERS.build({"use": "negatives", "swap": [["a", "b"]]})
