"""What every source on the shelf promises: each row once, whatever stands in the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import UserError
from tunesmith.core.protocols import Source
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example

SOURCES = Shelf("sources", "tunesmith.data.read")
NAMES = SOURCES.names()

SETTINGS: dict[str, dict[str, Any]] = {
    "table": {"template": "{instruction} {{now}}", "answer": "output"},
    "conversations": {},
    "text": {"column": "instruction"},
    "documents": {},
}
ELSEWHERE = {"canaries": "test_data_canaries.py", "sql": "test_data_sql.py", "transcripts": "test_data_transcripts.py"}
"""Sources that do not read rows of JSON: name -> where they are tried."""
READERS = sorted(SETTINGS)
TEXTS = ("text", "documents")
ANSWERED = [name for name in READERS if name not in TEXTS]
"""Sources whose rows have an answer."""
GOOD = {"instruction": "Name a colour.", "output": "red"}
OTHER_KEYS = b'{"other": 1}'
BAD_LINES = [
    b'{"instruction": "broken',
    b'{"instruction": "\xff", "output": "x"}',
    b'{"instruction": "a\0b", "output": "x"}',
    b'{"instruction": NaN, "output": "x"}',
    b'{"instruction": "\\ud800", "output": "x"}',
    b"[" * 100_000,
    b"[1, 2]",
    OTHER_KEYS,
    b'{"instruction": "' + b"x" * 20_000 + b'", "output": "x"}',
]
SHAPES = ["messages", "conversations", "chosen", "rejected", "prompt", "completion", "instruction", "input", "output"]
TURNS = ["role", "from", "content", "value", "type", "text", "system", "user", "assistant", "loss_weight", "history"]
TOOLS = ["tools", "tool_calls", "tool_call", "name", "arguments", "images", "audio_url", "label"]
KEYS = st.sampled_from([*SHAPES, *TURNS, *TOOLS])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def build(name: str, path: str, **more: Any) -> Source:
    source: Source = SOURCES.build({"use": name, "path": path, **SETTINGS[name], **more})
    return source


def read(name: str, root: Path, path: str, labels: tuple[str, ...] = (), **more: Any) -> list[Example | Drop]:
    return list(build(name, path, **more).read(root, labels))


def test_every_source_is_in_this_battery() -> None:
    assert {*SETTINGS, *ELSEWHERE} == set(NAMES)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("bad", BAD_LINES, ids=lambda line: line[:24].decode("ascii", "replace"))
def test_a_bad_line_is_one_drop_and_its_neighbours_live(name: str, bad: bytes, tmp_path: Path) -> None:
    """Three lines, the second one bad: example, drop, example, at the places 1, 2, 3 (datatrove loses neighbours)."""
    good = json.dumps(GOOD).encode()
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([good, bad, good]) + b"\n")
    if name == "documents" and bad == OTHER_KEYS:
        pytest.skip("any object is a document: its values are its text")
    more: dict[str, Any] = {"max_mb" if name in TEXTS else "max_line_mb": 0.01 if b"xxxx" in bad else 10.0}
    items = read(name, tmp_path, "rows.jsonl", **more)
    assert [item.place for item in items] == ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:3"]
    assert [type(item) for item in items] == [Example, Drop, Example]


@pytest.mark.parametrize("name", READERS)
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(GOOD) + "\n" for _ in range(3)), encoding="utf-8")
    assert read(name, tmp_path, "rows.jsonl") == read(name, tmp_path, "rows.jsonl")


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_outside_the_labels_are_drops_with_the_nearest_label(name: str, tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "output": "redd"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    kept, dropped = read(name, tmp_path, "rows.jsonl", labels=("red", "blue"))
    assert isinstance(kept, Example)
    assert isinstance(dropped, Drop)
    assert dropped.reason == "unknown-label"
    assert "did you mean 'red'?" in dropped.detail


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("path", ["absent.jsonl", "empty.jsonl", "blank.jsonl", "folder", "../outside.jsonl", "a\0b"])
def test_a_file_that_cannot_be_used_is_one_problem_that_names_it(name: str, path: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "folder").mkdir(parents=True)
    (root / "empty.jsonl").write_bytes(b"")
    (root / "blank.jsonl").write_bytes(b"\n\n  \n")
    (tmp_path / "outside.jsonl").write_text(json.dumps(GOOD), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(name, root, path)
    assert len(caught.value.problems) == 1
    assert path in str(caught.value) or path == "a\0b"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt"])
@given(content=st.binary(max_size=80) | st.text(alphabet='{}[]",\n:;\t a1\\', max_size=60).map(str.encode))
@settings(max_examples=15, deadline=None)
def test_no_bytes_crash_it(name: str, suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"rows{suffix}").write_bytes(content)
        try:
            items = read(name, Path(folder), f"rows{suffix}")
        except UserError as error:
            assert error.problems
        else:
            assert all(isinstance(item, Example | Drop) for item in items)


@pytest.mark.parametrize("name", READERS)
@given(rows=st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=4))
@settings(max_examples=30, deadline=None)
def test_no_json_rows_crash_it_and_none_is_lost(name: str, rows: list[dict[str, Any]]) -> None:
    """Rows in = examples + drops: one good row and n arbitrary ones give 1 + n items."""
    lines = [json.dumps(row) + "\n" for row in [GOOD, *rows]]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
        items = read(name, Path(folder), "rows.jsonl")
    assert [item.place for item in items] == [f"rows.jsonl:{n + 1}" for n in range(len(lines))]
