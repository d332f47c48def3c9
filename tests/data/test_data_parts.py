"""A file that is read in parts gives what it gives when it is read at once, wherever the borders fall."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Message
from tunesmith.data import shards
from tunesmith.data.read import _parts
from tunesmith.data.read._csv import csv_parts, csv_rows
from tunesmith.data.read._lines import lines
from tunesmith.data.read._parts import Part, file_parts, line_parts
from tunesmith.data.read._rows import row_parts, rows

CSV_LINES = st.sampled_from(
    [b"1,2", b'"a\nb",3', b'"open', b"", b"\xff,1", b'"a"b,c', b"1,2,3", b'"q""q",4', b"\0,1", b'",",5']
)
HARD = {"max_examples": 80, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@given(
    content=st.lists(st.sampled_from([b"a", b"\n", b"bc\r\n", b"\n\n", b"\xef\xbb\xbf"]), max_size=30),
    size=st.integers(1, 12),
)
@settings(**HARD)  # type: ignore[arg-type]
def test_lines(content: list[bytes], size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(content))
    parts = line_parts(path, size=size)
    whole = list(lines(path, "a", max_bytes=4, notes=Counter()))
    assert [item for part in parts for item in lines(path, "a", max_bytes=4, notes=Counter(), part=part)] == whole
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == path.stat().st_size


@given(content=st.lists(CSV_LINES, max_size=14), size=st.integers(1, 40))
@settings(**HARD)  # type: ignore[arg-type]
def test_csv(content: list[bytes], size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n" + b"\n".join(content))

    def read(*parts: Part) -> list[object]:
        found = (csv_rows(path, "a", separator=",", max_bytes=30, notes=Counter(), part=part) for part in parts)
        return [item for some in found for item in some]

    parts = csv_parts(path, separator=",", max_bytes=30, size=size)
    assert read(*parts) == read(Part())


def test_parquet_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows in row groups of two, two groups a part: three parts that begin at rows 0, 4 and 8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tunesmith.data.read import _rows

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": list(range(10))}), path, row_group_size=2)
    held = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    monkeypatch.setattr(_rows, "PART_BYTES", held + 1)
    parts = row_parts(path, "a", max_bytes=100)
    assert [part.line for part in parts] == [0, 4, 8]
    read = [item for part in parts for item in rows(path, "a", max_bytes=100, part=part)]
    assert read == list(rows(path, "a", max_bytes=100))
    assert len(read) == 10


def test_files_go_together_up_to_a_size_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "PART_BYTES", 10)
    assert file_parts([4, 4, 4, 20, 1]) == [Part(0, 2), Part(2, 1), Part(3, 1), Part(4, 1)]
    assert [part.files for part in file_parts([0] * 130)] == [64, 64, 2]
    assert file_parts([]) == []


@given(
    elements=st.lists(
        st.recursive(
            st.integers() | st.text(max_size=6),
            lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
            max_leaves=6,
        ),
        max_size=5,
    ),
    indent=st.sampled_from([None, 1]),
    mark=st.booleans(),
)
@settings(**HARD | {"max_examples": 40})  # type: ignore[arg-type]
def test_a_json_list_is_streamed_with_the_offset_of_each_element(
    elements: list[object], indent: int | None, mark: bool, tmp_path: Path
) -> None:
    """Read in windows of three bytes: whatever the border cuts, every element is whole, and begins where it says."""
    from tunesmith.data.read import _json

    path = tmp_path / "a.json"
    text = json.dumps(elements, indent=indent, ensure_ascii=False)
    raw = (b"\xef\xbb\xbf" if mark else b"") + text.encode("utf-8", "replace")
    path.write_bytes(raw)
    if not elements:
        with pytest.raises(UserError, match="empty"):
            list(_json.list_items(path, "a", max_bytes=10_000))
        return
    before, _json._CHUNK_BYTES = _json._CHUNK_BYTES, 3
    try:
        found = list(_json.list_items(path, "a", max_bytes=10_000))
    finally:
        _json._CHUNK_BYTES = before
    assert [value for value, _ in found] == json.loads(raw.decode("utf-8-sig"))
    for value, byte in found:
        begin = json.dumps(value, ensure_ascii=False)[:1].encode("utf-8", "replace")
        assert raw[byte : byte + 1] == begin


def test_a_long_chain_of_thought_fills_a_file_as_well_as_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds one file of rows at a time: of 1,000 characters two rows with 600 characters of reasoning each."""
    monkeypatch.setattr(shards, "_PIECE_BYTES", 1000)
    with shards.Made(tmp_path, {}) as made:
        for number in range(4):
            turns = (Message(role="user", content="why"), Message(role="assistant", content="so", reasoning="x" * 600))
            made.keep(Example(id=f"ex-{number}", messages=turns))
    assert made.pieces == [2, 2]
