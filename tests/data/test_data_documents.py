"""Documents of every kind, told apart by content; pages, paragraphs, archives and patterns."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from document_fakes import docx, pdf, tarred, valid_files, xlsx, zipped
from reading import read_noting

from tunesmith.core.errors import UserError
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example
from tunesmith.data.read import _sandbox
from tunesmith.data.read._sandbox import Sandbox, Unreadable, pieces_of
from tunesmith.data.read.documents import Documents
from tunesmith.data.read.table import Table


def read(root: Path, path: str, **more: object) -> list[tuple[str, str]]:
    """(place, text or reason) of every row."""
    items = Documents(path, **more).read(root, ())  # type: ignore[arg-type]
    return [(item.place, item.reason if isinstance(item, Drop) else item.text or "") for item in items]


def test_a_folder_of_everything(tmp_path: Path) -> None:
    """Each format once; rows of tables as lines, the conversation among the JSON rows as a conversation."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in valid_files().items():
        (folder / name).write_bytes(content)
    notes: Counter[str] = Counter()
    items = read_noting(Documents("in", licence="MIT"), tmp_path, notes)
    assert all(isinstance(item, Example) for item in items), [i for i in items if isinstance(i, Drop)]
    rows = [item for item in items if isinstance(item, Example)]
    told = {row.place: row for row in rows}
    assert told["in/a.md"].text == "# Heading\n\nWords with *marks*.\n\n- item\n"
    assert told["in/a.html"].text == "One & two\n1 2"
    assert told["in/a.pdf"].text == "First page words\n\nSecond page words"
    assert told["in/a.docx"].text == "A paragraph of words\nand a second one"
    assert told["in/a.csv:3"].text == "age: 23\nwords: c\nd\nrating: bad"
    assert told["in/a.xlsx/Loans:2"].text == "age: 41\nrating: good"
    assert told["in/a.zip/one.txt"].text == "inner words"
    assert told["in/a.tar.gz/one.txt"].text == "inner words"
    assert told["in/a.zip/two/rows.jsonl:1"].text == "row 0 of some words"
    assert told["in/a.jsonl:5"].reference == "good day" and told["in/a.jsonl:5"].text is None
    assert {row.kind for row in rows} == {"structured", "semi_structured", "unstructured"}
    assert {told[p].kind for p in ("in/a.csv:3", "in/a.parquet:1", "in/a.xlsx/Loans:2")} == {"structured"}
    assert {row.licence for row in rows} == {"MIT"}
    assert told["in/a.csv:3"].byte == len(b'age,words,rating\n41,"a, b",good\n')
    assert (notes["archives"], notes["format: pdf"], notes["format: plain"]) == (3, 1, 4)


@pytest.mark.parametrize("name", ["a.dat", "a.txt", "a.csv", "a"])
@pytest.mark.parametrize(
    "make", [lambda: pdf("good words"), lambda: docx("good words"), lambda: b"<!DOCTYPE html>\n<p>good words"]
)
def test_content_counts_and_not_the_name(tmp_path: Path, name: str, make: object) -> None:
    (tmp_path / name).write_bytes(make())  # type: ignore[operator]
    assert read(tmp_path, name) == [(name, "good words")]


def test_pages_and_paragraphs_are_rows_of_one_group(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("One", "", "Three"))
    (tmp_path / "b.txt").write_text("One.\n\n \nTwo,\nand more.\n", encoding="utf-8")
    assert read(tmp_path, "a.pdf", unit="page") == [("a.pdf:1", "One"), ("a.pdf:3", "Three")]
    assert read(tmp_path, "b.txt", unit="page") == [("b.txt", "One.\n\n \nTwo,\nand more.\n")]
    assert read(tmp_path, "b.txt", unit="paragraph") == [("b.txt:1", "One."), ("b.txt:2", "Two,\nand more.")]
    rows = [item for item in Documents("b.txt", unit="paragraph").read(tmp_path, ()) if isinstance(item, Example)]
    assert {row.group for row in rows} == {"b.txt"}


def test_a_pattern_finds_files_below_the_project(tmp_path: Path) -> None:
    for name in ("one/a.txt", "one/two/b.txt", "one/c.md", "d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"words of {name}", encoding="utf-8")
    assert [place for place, _ in read(tmp_path, "**/*.txt")] == ["d.txt", "one/a.txt", "one/two/b.txt"]
    assert [place for place, _ in read(tmp_path, "one/*.txt")] == ["one/a.txt"]
    assert [place for place, _ in read(tmp_path, "one")] == ["one/a.txt", "one/c.md", "one/two/b.txt"]


def test_members_of_an_archive_keep_their_order_and_a_bad_one_its_neighbours(tmp_path: Path) -> None:
    content = tarred(("b.txt", b"bee", None), ("x.bin", b"\0\1\2", None), ("a.pdf", pdf("ay"), None))
    (tmp_path / "all.tar").write_bytes(content)
    assert read(tmp_path, "all.tar") == [
        ("all.tar/b.txt", "bee"),
        ("all.tar/x.bin", "unknown-format"),
        ("all.tar/a.pdf", "ay"),
    ]


def test_a_workbook_is_a_table_too(tmp_path: Path) -> None:
    (tmp_path / "loans.xlsx").write_bytes(xlsx(["age", "rating"], [41, "good"], [23, "bad"]))
    items = list(Table("loans.xlsx", template="Age {age}", answer="rating").read(tmp_path, ("good", "bad")))
    assert [(i.place, i.messages[0].content, i.reference) for i in items if isinstance(i, Example)] == [
        ("loans.xlsx/Loans:2", "Age 41", "good"),
        ("loans.xlsx/Loans:3", "Age 23", "bad"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (xlsx(["a", "a"], [1, 2]), "duplicate-column"),
        (xlsx(["a"])[:-200], "wrong-format"),
        (zipped({"a": "b"}), "wrong-format"),
    ],
)
def test_a_workbook_that_cannot_be_used_is_one_problem(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(Table("a.xlsx", template="{a}", answer="a").read(tmp_path, ()))
    assert [problem.code for problem in caught.value.problems] == [code]


class TestSandbox:
    """The child's limits, tried with formats that do on purpose what hostile documents do."""

    @pytest.fixture
    def formats(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A shelf of bad parsers, which the child finds through PYTHONPATH."""
        package = tmp_path / "bad_formats"
        package.mkdir()
        (package / "__init__.py").write_text("")
        head = "import os, sys, time\nfrom dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass {name}:\n"
        body = (
            "    kind = 'unstructured'\n    risky = True\n\n    def pieces(self, content):\n        if not content:\n"
            "            return\n        yield 1, 'begin'\n        {does}\n        yield 2, 'end'\n"
        )
        does = {
            "hangs": "\n        while True: pass",
            "swells": "held = [bytes(10**8) for _ in range(100)]",
            "dies": "os._exit(3)",
            "aborts": "os.abort()",
            "writes": f"open({str(tmp_path / 'written')!r}, 'wb', buffering=0).write(b'x' * 10)",
            "talks": "print('noise'); sys.stderr.write('noise')",
            "recurs": "exec('def f(): f()\\nf()')",
            "halves": "yield 3, 'a\\ud800\\0b'",
        }
        for name, what in does.items():
            (package / f"{name}.py").write_text(head.format(name=name.capitalize()) + body.format(does=what))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(_sandbox, "FORMATS", Shelf("formats", "bad_formats"))
        code = "from tunesmith.data.read import _sandbox as s; import sys; "
        code += "s.FORMATS = s.Shelf('formats', 'bad_formats'); s.serve(int(sys.argv[1]))"
        monkeypatch.setattr(_sandbox, "_COMMAND", [sys.executable, "-c", code])
        monkeypatch.setattr(_sandbox, "_SANDBOX", Sandbox())

    @pytest.mark.usefixtures("formats")
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("hangs", "took-too-long"),
            ("swells", "took-too-much-memory"),
            ("dies", "crashed-parser"),
            ("aborts", "crashed-parser"),
            ("writes", "broken-document"),
            ("recurs", "broken-document"),
        ],
    )
    def test_what_a_document_does_to_its_parser_is_told_and_the_next_one_is_read(
        self, name: str, reason: str, tmp_path: Path
    ) -> None:
        began = time.monotonic()
        with pytest.raises(Unreadable) as caught:
            pieces_of(name, b"x", seconds=0.3)
        assert caught.value.reason == reason
        assert time.monotonic() - began < 30
        assert pieces_of("talks", b"x", seconds=5.0) == [(1, "begin"), (2, "end")]
        assert not (tmp_path / "written").exists() or not (tmp_path / "written").stat().st_size
        _sandbox._SANDBOX.close()

    @pytest.mark.usefixtures("formats")
    def test_texts_come_back_as_texts_that_can_be_written(self) -> None:
        assert pieces_of("halves", b"x", seconds=5.0)[1] == (3, "a?b")
        _sandbox._SANDBOX.close()

    def test_a_missing_library_is_told_with_the_command_that_installs_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The child sees a `pypdf` that says it is not there."""
        (tmp_path / "pypdf.py").write_text("raise ModuleNotFoundError('no', name='pypdf')")
        monkeypatch.syspath_prepend(str(tmp_path))
        box = Sandbox()
        monkeypatch.setattr(_sandbox, "_SANDBOX", box)
        with pytest.raises(UserError, match=r"pip install 'tunesmith\[documents\]'"):
            pieces_of("pdf", pdf("x"), seconds=2.0)
        box.close()

    def test_it_ends_with_its_parent_line(self) -> None:
        box = Sandbox()
        assert list(box.frames({"format": "html"}, b"<html><p>x</p>", seconds=5.0)) == [[None, "x"]]
        process = box._process
        assert process is not None
        box.close()
        assert process.returncode is not None
        assert not os.path.exists(f"/proc/{process.pid}/stat")
