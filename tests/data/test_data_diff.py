from __future__ import annotations

from pathlib import Path

from tunesmith.core.examples import write_examples
from tunesmith.core.types import Example, Message, Snapshot, Split, example_id
from tunesmith.data.diff import Side, compare, settings_changed


def row(question: str, answer: str, split: Split, number: int) -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    place = f"rows.csv:{number}"
    return Example(id=example_id(turns, answer), messages=turns, target=answer, split=split, place=place)


def side(folder: Path, rows: list[Example], **settings: object) -> Side:
    folder.mkdir()
    write_examples(folder / "examples.parquet", rows)
    splits = {"train": sum(e.split == "train" for e in rows), "test": sum(e.split == "test" for e in rows)}
    kinds = {"kinds": {"reworded": len(rows)}}
    found = Snapshot(id=folder.name, rows_in=len(rows), kept=len(rows), splits=splits, leakage={"test": kinds})
    return Side(folder.name, found.model_copy(update={"folder": folder}), settings)


def test_each_row_is_told_once(tmp_path: Path) -> None:
    """Of five rows one stays, one moves to test, one is answered otherwise, one goes and one comes."""
    old = [row("stays", "a", "train", 2), row("moves", "a", "train", 3), row("other", "a", "test", 4),
           row("goes", "a", "train", 10)]  # fmt: skip
    new = [row("stays", "a", "train", 2), row("moves", "a", "test", 3), row("other", "b", "test", 4),
           row("comes", "b", "train", 9)]  # fmt: skip
    told = compare(side(tmp_path / "old", old, seed=1), side(tmp_path / "new", new, seed=2))
    assert told["rows"] == {"added": 1, "removed": 1, "moved": 1, "relabelled": 1, "unchanged": 1}
    assert told["shown"] == {
        "added": [{"place": "rows.csv:9", "split": "train"}],
        "removed": [{"place": "rows.csv:10", "split": "train"}],
        "moved": [{"place": "rows.csv:3", "old": "train", "new": "test"}],
        "relabelled": [{"place": "rows.csv:4", "old": "a", "new": "b"}],
    }
    assert told["counts"] == {"split": {"test": [1, 2], "train": [3, 2]}, "answer": {"a": [4, 2], "b": [0, 2]}}
    assert told["leakage"] == {}
    assert told["settings"] == {"seed": [1, 2]}
    assert not told["same"]


def test_a_snapshot_beside_itself_and_rows_that_stand_twice(tmp_path: Path) -> None:
    """The same row twice in one and once in the other: one has gone, and leaks differ by one."""
    one, two = row("x", "a", "test", 1), row("x", "a", "test", 2)
    left, right = side(tmp_path / "old", [one, two]), side(tmp_path / "new", [one])
    assert compare(left, left)["same"]
    told = compare(left, right)
    assert told["rows"] == {"added": 0, "removed": 1, "moved": 0, "relabelled": 0, "unchanged": 1}
    assert told["leakage"] == {"test: reworded": [2, 1]}


def test_no_more_rows_are_shown_than_asked_for_and_in_the_order_of_their_files(tmp_path: Path) -> None:
    new = [row(f"question {i}", "a", "train", i) for i in (12, 3, 100, 7)]
    told = compare(side(tmp_path / "old", []), side(tmp_path / "new", new), shown=2)
    assert told["rows"]["added"] == 4
    assert [shown["place"] for shown in told["shown"]["added"]] == ["rows.csv:3", "rows.csv:7"]


def test_settings_are_told_by_their_paths() -> None:
    old = {"split": {"train": 0.8, "test": 0.2}, "clean": [{"use": "unicode"}]}
    new = {"split": {"train": 0.7, "test": 0.2}, "clean": [], "mix": {}}
    assert settings_changed(old, new) == {
        "split.train": (0.8, 0.7), "clean": ([{"use": "unicode"}], []), "mix": (None, {}),
    }  # fmt: skip
