from __future__ import annotations

import json
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop
from tunesmith.data.read._rows import rows

MB = 1_000_000


def read(path: Path, *, max_bytes: int = 10 * MB, **more: Any) -> list[Any]:
    found = rows(path, path.name, max_bytes=max_bytes, **more)
    return [item if isinstance(item, Drop) else (item.place, item.row) for item in found]


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reasons(items: list[Any]) -> list[str]:
    return [item.reason if isinstance(item, Drop) else "ok" for item in items]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "x,y\n1,2\n"),
        ("a.csv", "x;y\n1;2\n"),
        ("a.csv", "x\ty\n1\t2\n"),
        ("a.txt", "x|y\r\n1|2\r\n"),
        ("a.tsv", "x\ty\n1\t2"),
        ("a.jsonl", '{"x": "1", "y": "2"}\n'),
        ("a.json", '[{"x": "1", "y": "2"}]'),
        ("a.json", '{"x": "1", "y": "2"}\n'),
        ("a.data", ' [ {"x": "1",\n "y": "2"} ]'),
    ],
)
def test_the_same_row_in_every_format(tmp_path: Path, name: str, content: str) -> None:
    ((_, row),) = read(write(tmp_path / name, content))
    assert row == {"x": "1", "y": "2"}


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1, None], "y": ["a", "b"]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        ("a.parquet:1", {"x": 1, "y": "a"}),
        ("a.parquet:2", {"x": None, "y": "b"}),
    ]


def test_nulls_that_parquet_filled_in_are_taken_out_again(tmp_path: Path) -> None:
    """PAIN 14: Arrow gives {"a": 1} and {"b": 2} both keys, so each object of the file holds one null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tools = [[{"name": "f", "args": {"a": 1}}], [{"name": "g", "args": {"b": 2}}]]
    pq.write_table(pa.table({"tools": tools, "note": [None, "x"]}), tmp_path / "a.parquet")
    notes: Counter[str] = Counter()
    items = read(tmp_path / "a.parquet", notes=notes)
    assert [row for _, row in items] == [{"tools": tools[0], "note": None}, {"tools": tools[1], "note": "x"}]
    assert notes == {"nulls taken out of nested columns": 2}


def test_a_byte_order_mark_is_taken_off_and_noted(tmp_path: Path) -> None:
    notes: Counter[str] = Counter()
    items = read(write(tmp_path / "a.csv", b"\xef\xbb\xbfx,y\n1,2\n"), notes=notes)
    assert items == [("a.csv:2", {"x": "1", "y": "2"})]
    assert notes == {"byte-order-mark": 1}
    assert read(write(tmp_path / "a.json", b'\xef\xbb\xbf[{"x": 1}]')) == [("a.json:1", {"x": 1})]


def test_csv_quotes_hold_separators_line_breaks_and_quotes(tmp_path: Path) -> None:
    items = read(write(tmp_path / "a.csv", 'x,y\n"a, b","c\nd ""e"""\n5" pipe,2\n'))
    assert items == [("a.csv:2", {"x": "a, b", "y": 'c\nd "e"'}), ("a.csv:4", {"x": '5" pipe', "y": "2"})]


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path: Path) -> None:
    """Lines 2 and 4 live though the quote opened in line 3 swallows the rest of the file for other readers."""
    items = read(write(tmp_path / "a.csv", 'x,y\n1,2\n"3,4\n5,6\n'))
    assert reasons(items) == ["ok", "unclosed-quote", "ok"]
    assert [item.place if isinstance(item, Drop) else item[0] for item in items] == ["a.csv:2", "a.csv:3", "a.csv:4"]


def test_csv_rows_that_cannot_be_read_are_named_by_reason(tmp_path: Path) -> None:
    content = b'x,y\n1,2\n1,2,3\n1\n\xff,2\n1,\x002\n"a"b,2\n"a\n\xff\nb",2\n7,8\n'
    items = read(write(tmp_path / "a.csv", content))
    assert reasons(items) == [
        "ok",
        "wrong-column-count",
        "wrong-column-count",
        "invalid-utf8",
        "nul-bytes",
        "broken-csv",
        "invalid-utf8",
        "broken-csv",
        "ok",
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_of_fifty_megabytes_is_one_drop_and_memory_stays_flat(tmp_path: Path, name: str) -> None:
    good = b'{"x": 1}' if name == "a.jsonl" else b"1"
    with (tmp_path / name).open("wb") as file:
        file.write(b"" if name == "a.jsonl" else b"x\n")
        file.write(good + b"\n")
        for _ in range(50):
            file.write(b"y" * MB)
        file.write(b"\n" + good + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = read(tmp_path / name)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert reasons(items) == ["ok", "line-too-long", "ok"]
    assert "50,000,000 bytes, the limit is 10,000,000" in items[1].detail
    assert grown_mb < 40


def test_separators_inside_json_strings_do_not_break_lines(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\rd"
    line = json.dumps({"x": "a\u2028b\u0085c\rd"}, ensure_ascii=False)
    assert read(write(tmp_path / "a.jsonl", line + "\r\n" + line)) == [
        ("a.jsonl:1", {"x": text}),
        ("a.jsonl:2", {"x": text}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "code", "line", "says"),
    [
        ("a.csv", "x,y\n1,2\n".encode("utf-16"), "wrong-encoding", None, "iconv -f UTF-16"),
        ("a.csv", b"PK\x03\x04rest", "wrong-format", None, "zip or Office"),
        ("a.csv", b"x,x\n1,2\n", "duplicate-column", 1, "'x' more than once"),
        ("a.csv", b'"x,y\n1,2\n', "broken-header", 1, "never closed"),
        ("a.csv", "年龄,b\n1,2\n".encode("gb18030"), "broken-header", 1, "not UTF-8"),
        ("a.json", b'{\n "rows": []\n}', "wrong-format", None, "a list of objects is expected"),
        ("a.json", b'[{"x": 1},\n{"x": }]', "broken-json", 2, "row spoils only itself"),
        ("a.json", b'[{"x": 1},\n{"x": "\xff"}]', "invalid-utf8", 2, "not UTF-8"),
        ("a.json", b"[]", "empty-file", None, "empty"),
        ("a.json", b"[" * 100_000, "broken-json", 1, "not JSON"),
        ("a.parquet", b"PAR1 and nothing", "broken-parquet", None, "Parquet"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, code: str, line: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read(write(tmp_path / name, content))
    (problem,) = caught.value.problems
    assert (problem.code, problem.path, problem.line) == (code, name, line)
    assert says in str(problem)
