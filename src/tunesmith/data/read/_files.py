"""The file as a whole: where it is, whether it can be used, in which format it is."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, Protocol

from tunesmith.core.errors import Problem, UserError, did_you_mean, nearest, shorten
from tunesmith.core.files import resolve_under

Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "workbook"]


class Opener(Protocol):
    """What rows are read from: a file on the disk (`Path` is one), or bytes in memory."""

    @property
    def name(self) -> str:
        """Its last name."""
        ...

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Its bytes from the first one on."""
        ...


@dataclass(frozen=True)
class Held:
    """A member of an archive: its last name, its bytes, and its name in places."""

    name: str
    content: bytes
    shown: str

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The bytes."""
        return io.BytesIO(self.content)


BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 4096
_BY_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_SHEETS = {"xl/workbook.xml", "xl/workbook.bin"}
_OPEN_DOCUMENT = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
_OLD_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_OTHER_FILES = {b"PK\x03\x04": "a zip or Office file", b"\x1f\x8b": "gzip", b"%PDF": "a PDF", b"SQLite": "a database"}


def locate(root: Path, path: str) -> Path:
    """The source file: a relative path is held inside the project folder, an absolute one is taken as written.

    An absolute path is the user's own explicit choice; a relative one that climbs out of the project is a mistake, or
    somebody else's project file reaching for what is not its own.

    Raises:
        UserError: missing (with the nearest file names), not a regular file, or empty.
    """
    if not path.strip() or "\0" in path:
        raise UserError(Problem("wrong-value", "the path of a file is expected", value=shorten(path)))
    full = Path(path) if Path(path).is_absolute() else resolve_under(root, path)
    if not full.exists():
        neighbours = [p.name for p in full.parent.iterdir() if p.is_file()] if full.parent.is_dir() else []
        close = nearest(full.name, neighbours)
        hint = did_you_mean(full.name, close) if close else f"looked for {full}"
        raise UserError(Problem("missing-file", "the file does not exist", hint, path))
    if not full.is_file():
        raise UserError(Problem("not-a-file", "a file is expected here, this is a folder or a device", path=path))
    if not os.access(full, os.R_OK):
        raise UserError(Problem("not-readable", "you may not read this file", f"chmod u+r {full}", path))
    if full.stat().st_size == 0:
        raise UserError(Problem("empty-file", "the file is empty", "export the data again, or drop the source", path))
    return full


def detect_format(path: Path | Opener, shown: str) -> Format:
    """The format by content, and by suffix where content does not tell.

    Raises:
        UserError: not UTF-8 as a whole (UTF-16, UTF-32), or a kind of file that holds no rows.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for mark, encoding in _OTHER_ENCODINGS.items():
        if head.startswith(mark):
            hint = f"convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}"
            raise UserError(Problem("wrong-encoding", f"the file is {encoding}, expected UTF-8", hint, shown))
    suffix = PurePosixPath(path.name).suffix.lower()
    if is_workbook(path, head, suffix):
        return "workbook"
    for mark, what in _OTHER_FILES.items():
        if head.startswith(mark):
            hint = (
                "expected CSV, TSV, JSONL, a JSON list, Parquet or a workbook; {use: documents} reads PDF and archives"
            )
            raise UserError(Problem("wrong-format", f"this is {what}, not rows", hint, shown))
    if head.startswith(b"PAR1"):
        return "parquet"
    start = head.removeprefix(BOM).lstrip()[:1]
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if start == b"{" and suffix == ".json":  # JSONL under a short name, unless the object goes on in the next line
        first_line = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
        return "jsonl" if len(first_line) >= _HEAD_BYTES // 2 or first_line.rstrip().endswith(b"}") else "json"
    return "json" if start == b"[" else "jsonl" if start == b"{" or suffix == ".json" else "csv"


def is_workbook(path: Path | Opener, head: bytes, suffix: str) -> bool:
    """Whether a file that begins with `head` is a spreadsheet."""
    if head.startswith(b"PK\x03\x04"):
        if _OPEN_DOCUMENT in head:
            return True
        try:
            with path.open("rb") as file, zipfile.ZipFile(file) as packed:
                return not _SHEETS.isdisjoint(packed.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return False
    return head.startswith(_OLD_OFFICE) and suffix == ".xls"
