"""New rows out of training rows, and shares: what joins, what is refused, and that every row is accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from test_data_stage import TABLE, context, labelled, texts, write

from tunesmith.core.errors import UserError
from tunesmith.core.examples import read_examples
from tunesmith.core.protocols import Context
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example, Message, Profile, Snapshot
from tunesmith.data import making, operations, stage
from tunesmith.data.children import child
from tunesmith.data.spec import DataSpec

OWN = texts(200)


@dataclass(frozen=True)
class Doubling:
    """For every training row a reworded one; `spoiled` rows of other sorts beside them; a drop for each tenth."""

    asked: ClassVar[list[str]] = []
    leaking: tuple[str, ...] = ()

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        for number, row in enumerate(rows):
            self.asked.append(row.id)
            assert row.split == "train"
            if number % 10 == 9:
                yield Drop(place=row.place, step="?", reason="meaning-changed")
                continue
            yield self.said(row, "In other words, " + row.messages[0].content)
            if number == 0:
                yield self.said(row, row.messages[0].content.upper())  # says what its parent says
                for text in self.leaking:
                    yield self.said(row, text)

    def said(self, row: Example, text: str) -> Example:
        messages = [Message(role="user", content=text), *row.messages[1:]]
        return child(row, messages, target=row.target)


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Doubling]]:
    """The shelf of augmenters holds one more: `doubling`."""
    real = Shelf.get
    found = lambda shelf, name, **where: Doubling if name == "doubling" else real(shelf, name, **where)  # noqa: E731
    monkeypatch.setattr(Shelf, "get", found)
    Doubling.asked.clear()
    yield Doubling
    assert operations.AUGMENTERS.kind == "augmenters"


def run(root: Path, out: Path, section: dict[str, Any]) -> tuple[Snapshot, list[Example]]:
    out.mkdir(exist_ok=True)
    profile = Profile(problem="p", task="classification", labels=("good", "bad"))
    snapshot = stage.run(DataSpec.model_validate(section), profile=profile, context=replace(context(root), out=out))
    return snapshot, read_examples(out / "examples.parquet")


SECTION: dict[str, Any] = {"sources": [{**TABLE, "path": "rows.jsonl", "template": "{text}"}]}


def test_new_rows_join_training_and_everything_is_counted(tmp_path: Path, doubling: type[Doubling]) -> None:
    """160 of 200 rows are for training: 16 drops, 144 new rows, and one that says what its parent says."""
    write(tmp_path, "rows.jsonl", labelled(OWN))
    snapshot, rows = run(tmp_path, tmp_path / "out", {**SECTION, "augment": [{"use": "doubling"}]})
    assert snapshot.made == 161 and snapshot.splits["train"] == 160 + 144
    assert snapshot.rows_in + snapshot.made == snapshot.kept + sum(snapshot.dropped.values())
    assert snapshot.dropped == {"meaning-changed": 16, "exact-duplicate": 1}
    made = {tally.step: tally for tally in snapshot.tallies}["augment.doubling"]
    assert (made.rows_in, made.made, made.kept, made.dropped) == (200, 161, 345, {"meaning-changed": 16})
    (lost,) = (reason for reason in snapshot.gates[0].reasons if reason.code == "dropped-rows")
    assert lost.evidence["dropped"] == {}  # what makers refuse is no loss of the user's rows
    parents = {row.id: row for row in rows if row.parent is None}
    children = [row for row in rows if row.parent]
    assert len(children) == 144 and rows[-144:] == children
    for row in children:
        parent = parents[row.parent or ""]
        assert (row.split, row.target, row.source, row.place) == ("train", parent.target, parent.source, parent.place)
        assert row.attributes["made_by"] == "augment.doubling" and row.group == parent.id
    drops = [json.loads(line) for line in (tmp_path / "out" / "drops.jsonl").read_text().splitlines()]
    assert sorted({(drop["step"], drop["reason"]) for drop in drops}) == [
        ("augment.doubling", "meaning-changed"),
        ("made", "exact-duplicate"),
    ]


def test_a_new_row_that_stands_in_held_out_rows_is_refused(tmp_path: Path, doubling: type[Doubling]) -> None:
    """One held-out question word for word, one in other case and space, one with a letter changed: all three go."""
    write(tmp_path, "rows.jsonl", labelled(OWN))
    _, rows = run(tmp_path, tmp_path / "first", SECTION)
    held = [row.messages[0].content for row in rows if row.split in ("valid", "test")]
    leaking = [held[0], held[1].upper() + "  ", held[2][:-1] + "x"]
    section = {**SECTION, "duplicates": {"near": 0.7}, "augment": [{"use": "doubling", "leaking": leaking}]}
    snapshot, rows = run(tmp_path, tmp_path / "out", section)
    assert snapshot.dropped["held-out-leak"] == 3
    assert not set(leaking) & {row.messages[0].content for row in rows if row.parent}
    assert snapshot.leakage["test"]["exact"] == snapshot.leakage["test"]["near"] == 0
    without = {**section, "duplicates": {"near": None}}
    assert run(tmp_path, tmp_path / "exact", without)[0].dropped["held-out-leak"] == 2


def test_two_makers_work_in_turn_and_the_second_sees_what_the_first_made(
    tmp_path: Path, doubling: type[Doubling]
) -> None:
    write(tmp_path, "rows.jsonl", labelled(OWN[:50]))
    section = {**SECTION, "limits": {"test_rows": 1}, "augment": [{"use": "doubling"}, {"use": "doubling"}]}
    snapshot, rows = run(tmp_path, tmp_path / "out", section)
    first, second = (t for t in snapshot.tallies if t.step.startswith("augment"))
    assert (first.step, second.step) == ("augment.doubling", "augment.doubling.2")
    assert len(doubling.asked) == 40 + 77  # 36 rows and the shouted one were there by then
    assert {row.attributes.get("made_by") for row in rows} == {None, first.step, second.step}


def test_a_killed_run_does_not_ask_again_what_was_made(
    tmp_path: Path, doubling: type[Doubling], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "rows.jsonl", labelled(OWN[:50]))
    section = {**SECTION, "limits": {"test_rows": 1}, "augment": [{"use": "doubling"}]}
    killed = tmp_path / "killed"
    killed.mkdir()

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(making, "refuse_made", kill)
        run(tmp_path, killed, section)
    asked = len(doubling.asked)
    run(tmp_path, tmp_path / "out", section)
    assert len(doubling.asked) == asked == 40


def mixed(root: Path) -> dict[str, Any]:
    """80 structured and 40 unstructured training rows; the same of each for testing."""
    write(root, "a.jsonl", labelled(OWN[:80]))
    write(root, "b.jsonl", labelled(OWN[80:120]))
    write(root, "test.jsonl", labelled(OWN[120:190]))
    one = {**TABLE, "template": "{text}"}
    sources = [
        {**one, "path": "a.jsonl", "split": "train"},
        {**one, "path": "b.jsonl", "split": "train", "kind": "unstructured"},
        {**one, "path": "test.jsonl", "split": "test"},
    ]
    return {"sources": sources}


@pytest.mark.parametrize(
    ("mix", "rows"),
    [
        ({"shares": {"structured": 0.5, "unstructured": 0.5}}, (40, 40)),
        ({"shares": {"structured": 4, "unstructured": 1}}, (80, 20)),
        ({"shares": {"structured": 0, "unstructured": 1}}, (0, 40)),
        ({"by": "source", "shares": {"a.jsonl": 0.1, "b.jsonl": 0.9}}, (4, 40)),
    ],
)
def test_shares_are_reached_by_leaving_rows_out(tmp_path: Path, mix: Any, rows: tuple[int, int]) -> None:
    """Of 80 and 40: 1:1 leaves 40 and 40; 4:1 leaves 80 and 20; 1:9 leaves 4 (of 40/9 = 4.4) and 40."""
    section = {**mixed(tmp_path), "mix": mix, "limits": {"mixed_away": 1.0}}
    snapshot, found = run(tmp_path, tmp_path / "out", section)
    kinds = [row.kind for row in found if row.split == "train"]
    assert (kinds.count("structured"), kinds.count("unstructured")) == rows
    assert snapshot.splits["test"] == 70
    assert snapshot.dropped == {"over-share": 120 - sum(rows)} or rows == (80, 40)
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text())["mix"]
    assert [part["rows"] for part in sheet.values()] == list(rows)
    assert [part["before"] for part in sheet.values()] == [0.6667, 0.3333]
    assert next(iter(sheet.values()))["reached"] == pytest.approx(rows[0] / sum(rows), abs=1e-4)


def test_mixing_away_too_much_fails_the_gate(tmp_path: Path) -> None:
    """1:9 leaves out 76 of 120 rows, 63 %, where half is allowed."""
    mix = {"by": "source", "shares": {"a.jsonl": 0.1, "b.jsonl": 0.9}}
    snapshot, _ = run(tmp_path, tmp_path / "out", {**mixed(tmp_path), "mix": mix})
    (reason,) = (r for r in snapshot.gates[0].reasons if r.code == "mixed-away")
    assert reason.verdict == "failed" and "76 training rows (63.3%)" in reason.message


def test_shares_that_do_not_fit_the_rows_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    section = {**mixed(tmp_path), "mix": {"shares": {"structured": 0.5, "semi_structured": 0.5}}}
    with pytest.raises(UserError) as caught:
        run(tmp_path, tmp_path / "out", section)
    assert [p.code for p in caught.value.problems] == ["unnamed-share", "empty-share"]
    assert "40 training rows" in caught.value.problems[0].message
    wrong = DataSpec.model_validate({**mixed(tmp_path), "mix": {"shares": {"structurd": 0.0}}})
    found = [p for p in stage.check(wrong, tmp_path) if p.path == "data.mix.shares"]
    assert len(found) == 2 and "structured" in found[0].hint
