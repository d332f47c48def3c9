"""Exported labels: a source that the line reads, with provenance and the card for gate G1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from label_desks import at, labelled, queue

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example
from tunesmith.data.label.card import card_of, file_reason
from tunesmith.data.label.desk import Desk
from tunesmith.data.label.settle import export, measured
from tunesmith.data.read.conversations import Conversations

TEXTS = [f"text {n}" for n in range(8)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Six unanimous rows, one two to one, one with three labels."""
    made = queue(tmp_path / "home", TEXTS)
    return labelled(made, {"ann": "ynynynyy", "bob": "ynynynyn", "cyd": "ynynynnm"})


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_data_sources_reads_what_was_exported(desk: Desk, tmp_path: Path) -> None:
    at(desk, "ada").decide(desk.board.rows[7], "maybe", "it depends")
    told = export(desk.refresh(), desk.examples, tmp_path / "labels.jsonl", method="majority")
    assert (told["rows"], told["left_out"]) == (8, 0)
    assert told["settled"] == {"unanimous": 6, "majority": 1, "adjudicated": 1}
    source = Conversations(path="labels.jsonl", target="target", group="group")
    rows = [row for row in source.read(tmp_path, ("yes", "no", "maybe")) if isinstance(row, Example)]
    assert [row.reference for row in rows] == ["yes", "no", "yes", "no", "yes", "no", "yes", "maybe"]
    assert [row.messages[0].content for row in rows] == TEXTS
    assert [row.messages[1].content for row in rows] == [row.target for row in rows]
    assert [row.group for row in rows] == list(desk.board.rows)  # the row, so that copies stay in one split


def test_provenance_says_who_when_which_round_and_how_sure(desk: Desk, tmp_path: Path) -> None:
    export(desk.board, desk.examples, tmp_path / "labels.jsonl")
    first = lines(tmp_path / "labels.jsonl")[0]["labels"]
    people = {desk.labels.person("q", name) for name in ("ann", "bob", "cyd")}
    assert (first["queue"], first["how"], first["round"], first["agreement"]) == ("q", "unanimous", 1, 1.0)
    assert set(first["by"]) == people and first["votes"] == dict.fromkeys(sorted(people), "yes")
    assert first["at"].endswith("+00:00") and first["probability"] > 0.9
    assert not any(name in (tmp_path / "labels.jsonl").read_text("utf-8") for name in ("ann", "bob", "SECRET"))


def test_what_is_not_settled_is_counted_and_left_out(desk: Desk, tmp_path: Path) -> None:
    told = export(desk.board, desk.examples, tmp_path / "labels.jsonl", method="majority")
    assert (told["rows"], told["left_out"], told["not_settled"]) == (7, 1, {"disputed": 1})
    empty = queue(tmp_path / "empty", ["x"])
    with pytest.raises(UserError) as refused:
        export(empty.board, empty.examples, tmp_path / "none.jsonl")
    assert refused.value.problems[0].code == "nothing-settled"
    assert not (tmp_path / "none.jsonl").exists()


def test_g1_reads_the_card_and_believes_it_only_of_the_same_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    assert file_reason(file) is None  # a file that no queue wrote says nothing
    export(desk.board, desk.examples, file)
    reason = file_reason(file, least=0.667)
    alpha = measured(desk.board).alpha.value
    assert reason is not None and alpha is not None
    assert (reason.code, reason.verdict) == ("label-agreement", "passed" if alpha >= 0.667 else "failed")
    assert reason.evidence["alpha"] == alpha
    strict = file_reason(file, least=1.0)
    assert strict is not None and strict.verdict == "failed"
    file.write_text(file.read_text("utf-8").replace('"no"', '"yes"'), "utf-8")
    changed = file_reason(file)
    assert changed is not None and changed.verdict == "unknown" and "changed" in changed.message


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"alpha": {"value": 7}}', b"\xff", b'{"alpha": 1, "sha256": 2}']
)
def test_a_broken_card_is_unknown_and_never_passed(desk: Desk, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "labels.jsonl"
    export(desk.board, desk.examples, file)
    card_of(file).write_bytes(content)
    reason = file_reason(file)
    assert reason is not None and reason.verdict == "unknown"


def test_agreement_counts_first_rounds_only(desk: Desk) -> None:
    """A second round over the same rows, in which all agree, does not make the first one better."""
    before = measured(desk.board).alpha.value
    labelled(desk, dict.fromkeys(("ann", "bob", "cyd"), "ynynynyy"))
    assert measured(desk.board).alpha.value == before
