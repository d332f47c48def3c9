"""Public test sets as files: whatever form they have, their questions must not stand in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message, Snapshot, example_id
from tunesmith.data.gate import judge
from tunesmith.data.index import index_of
from tunesmith.data.leak import leakage
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.public_tests import problems, public_leakage
from tunesmith.data.rows import Rows
from tunesmith.data.spec import DataSpec

QUESTION = "Which vitamin is missing in a sailor with bleeding gums after nine weeks at sea?"
OPTIONS = {"A": "Vitamin A", "B": "Vitamin C", "C": "Vitamin K"}
TURNED = {"A": "Vitamin K", "B": "Vitamin A", "C": "Vitamin C"}


class _Rows(Rows):
    """Rows whose places are their numbers."""

    def places(self, numbers: Any) -> dict[int, str]:
        return {number: f"train.jsonl:{number}" for number in numbers}


def trained(text: str) -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content="x"))
    return Example(id=example_id(turns, None), messages=turns, split="train")


def told(root: Path, public: str | Use, *train: str) -> dict[str, Any]:
    index = index_of([trained(text) for text in train])
    return public_leakage(index, _Rows([], []), [public], root=root, near=0.85, spec=Leaks())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("medqa.jsonl", json.dumps({"question": QUESTION, "options": TURNED})),
        ("chat.jsonl", json.dumps({"messages": [
            {"role": "user", "content": f"{QUESTION}\n(1) Vitamin K (2) Vitamin A (3) Vitamin C"},
            {"role": "assistant", "content": "2"}]})),
        ("alpaca.json", json.dumps([{"instruction": f"{QUESTION} a) Vitamin C b) Vitamin A c) Vitamin K", "input": "",
                                     "output": "a"}])),
        ("table.csv", f'Question,A,B,C\n"{QUESTION}",Vitamin K,Vitamin C,Vitamin A'),
    ],
)  # fmt: skip
def test_any_form_of_file_and_any_order_of_options(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    asked = "\n".join([QUESTION, *(f"{letter}. {option}" for letter, option in OPTIONS.items())])
    assert problems([name], tmp_path) == []
    found = told(tmp_path, name, "What is the capital of the country in the north?", asked)[name]
    assert {kind: rows for kind, rows in found["kinds"].items() if rows} == {"reordered": 1}
    assert found["pairs"][0]["train"] == "train.jsonl:1"
    assert found["pairs"][0]["row"].startswith(name)


def test_columns_of_ones_own_need_a_word(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("frage,antwort\nwas,das\n", encoding="utf-8")
    (problem,) = problems(["own.csv"], tmp_path)
    assert (problem.code, "template" in problem.hint) == ("unknown-format", True)
    use = Use.model_validate({"use": "table", "path": "own.csv", "template": "{frage}", "answer": "antwort"})
    assert problems([use], tmp_path) == []
    assert told(tmp_path, use, "WAS")["own.csv"]["kinds"]["folded"] == 1
    assert [problem.code for problem in problems(["none.csv"], tmp_path)] == ["missing-file"]
    with pytest.raises(UserError):
        told(tmp_path, "own.csv", "was")


@pytest.mark.parametrize(("limit", "verdict"), [(0.0, "failed"), (1.0, "passed")])
def test_the_gate_says_no_by_the_limit_of_the_kind(tmp_path: Path, limit: float, verdict: str) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps({"question": QUESTION}) + "\n", encoding="utf-8")
    index = index_of([trained(QUESTION.upper())])
    leaks = leakage(index, None, None) | {"public": told(tmp_path, "test.jsonl", QUESTION.upper())}
    snapshot = Snapshot(rows_in=1, kept=1, splits={"train": 1, "valid": 0, "test": 0}, leakage=leaks)
    spec = DataSpec.model_validate({"limits": {"leak": limit}})
    reason = judge(spec, snapshot, trained=(), labels=()).reasons[0]
    assert reason.verdict == verdict
    assert reason.message.startswith(
        "1 of 1 questions of test.jsonl (100.0%) also stand in the training split: test.js"
    )
