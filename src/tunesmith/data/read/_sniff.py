"""What a file holds, told by its content, and by its name only where no content could tell."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

from tunesmith.data.read._archive import is_archive
from tunesmith.data.read._files import Format, Opener, detect_format, is_workbook
from tunesmith.data.read._sandbox import FORMATS

_HEAD_BYTES = 4096
_TABLES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")

Held = Literal["table", "document", "archive", "unknown"]


def sniff(opener: Path | Opener) -> tuple[Held, str]:
    """What it is, and in which format: of a table, one of `Format`; of a document, a name on the shelf of formats."""
    with opener.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return "table", "parquet"
    suffix = PurePosixPath(opener.name).suffix.lower()
    if is_workbook(opener, head, suffix):
        return "table", "workbook"
    if head.startswith(b"PK\x03\x04"):
        head += _names_inside(opener)
    known = [name for name in FORMATS.names() if FORMATS.build(name).knows(head, opener.name)]
    if marked := [name for name in known if FORMATS.get(name).risky]:
        return "document", marked[0]
    if is_archive(head):
        return "archive", ""
    if (table := _table_of(opener, head, suffix)) is not None:
        return "table", table
    if b"\0" in head and not head.startswith(_WIDE_MARKS):
        return "unknown", ""
    if known:
        return "document", known[0]
    begin = _begin(head)
    return ("table", "json" if begin == b"[" else "jsonl") if begin in (b"[", b"{") else ("document", "plain")


def _begin(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _table_of(opener: Path | Opener, head: bytes, suffix: str) -> Format | None:
    """The format of a text file that is named as a table; a broken byte in it spoils a row, not the file."""
    if suffix == ".json" and _begin(head) in (b"[", b"{"):
        return detect_format(opener, opener.name)
    return _TABLES.get(suffix)


def _names_inside(opener: Path | Opener) -> bytes:
    """The names of a zip archive's members, one a line; nothing where it is none, or is damaged."""
    try:
        with opener.open("rb") as file, zipfile.ZipFile(file) as packed:
            return b"\n".join(name.encode("utf-8", "replace") for name in packed.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return b""
