"""Plain text: every document or paragraph once, with its place; a folder is read as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example
from tunesmith.data.read.text import Text


def read(root: Path, path: str, **more: Any) -> list[tuple[str, str]]:
    """(place, text or reason) of every row."""
    items = Text(path, **more).read(root, ["yes", "no"])
    return [(item.place, item.reason if isinstance(item, Drop) else item.text or "") for item in items]


def test_a_document_is_one_row_with_its_text_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"\xef\xbb\xbfOne.\r\n\r\nTwo.\r\n")
    assert read(tmp_path, "notes.txt") == [("notes.txt", "One.\n\nTwo.\n")]
    [row] = Text("notes.txt", split="valid", licence="MIT").read(tmp_path, [])
    assert isinstance(row, Example)
    assert (row.split, row.kind, row.licence, row.reference) == ("valid", "unstructured", "MIT", "")


def test_paragraphs_are_what_stands_between_blank_lines(tmp_path: Path) -> None:
    """Line 2 begins the first, line 5 the second (its own line break stays), line 9 the third."""
    (tmp_path / "notes.txt").write_text("\nOne.\n\n \nTwo,\nand more.\n\n\nThree.\n\n")
    found = read(tmp_path, "notes.txt", unit="paragraph")
    assert found == [("notes.txt:2", "One."), ("notes.txt:5", "Two,\nand more."), ("notes.txt:9", "Three.")]


def test_a_folder_is_read_with_the_folders_below_it_and_what_cannot_be_read_is_a_drop(tmp_path: Path) -> None:
    book = tmp_path / "book"
    (book / "two").mkdir(parents=True)
    (book / "a.md").write_text("# A")
    (book / "b.txt").write_bytes(b"caf\xe9")
    (book / "c.txt").write_text("  \n")
    (book / "two" / "d.TXT").write_text("D")
    (book / "picture.png").write_bytes(b"not text")
    assert read(tmp_path, "book") == [
        ("book/a.md", "# A"),
        ("book/b.txt", "invalid-utf8"),
        ("book/c.txt", "empty-document"),
        ("book/two/d.TXT", "D"),
    ]
    assert [file.name for file in Text("book").files(tmp_path)] == ["a.md", "b.txt", "c.txt", "d.TXT"]
    assert read(tmp_path, "book", max_mb=2e-6)[0] == ("book/a.md", "document-too-long")


def test_a_table_has_a_text_in_each_row(tmp_path: Path) -> None:
    lines = [{"text": "One."}, {"other": 1}, {"text": ""}, {"text": "Two."}]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = [text for _, text in read(tmp_path, "notes.jsonl")]
    assert told == ["One.", "missing-column", "empty-document", "Two."]


@pytest.mark.parametrize(
    ("path", "code"), [("empty", "empty-folder"), ("blank.txt", "empty-file"), ("notes.jsonl", "missing-column")]
)
def test_what_holds_no_text_is_told_before_anything_is_read(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n\n")
    (tmp_path / "notes.jsonl").write_text(json.dumps({"texts": "One."}))
    [problem] = Text(path).check(tmp_path)
    assert problem.code == code
    with pytest.raises(UserError):
        read(tmp_path, path)
