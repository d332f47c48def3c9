"""The file as a whole: where it is, whether it can be used, in which format it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import Problem, UserError, did_you_mean, nearest, shorten
from tunesmith.core.files import resolve_under

Format = Literal["csv", "tsv", "jsonl", "json", "parquet"]

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


def detect_format(path: Path, shown: str) -> Format:
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
    for mark, what in _OTHER_FILES.items():
        if head.startswith(mark):
            hint = "expected CSV, TSV, JSONL, a JSON list or Parquet"
            raise UserError(Problem("wrong-format", f"this is {what}, not rows", hint, shown))
    if head.startswith(b"PAR1"):
        return "parquet"
    start = head.removeprefix(BOM).lstrip()[:1]
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if start == b"{" and suffix == ".json":  # JSONL under a short name, unless the object goes on in the next line
        first_line = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
        return "jsonl" if len(first_line) >= _HEAD_BYTES // 2 or first_line.rstrip().endswith(b"}") else "json"
    return "json" if start == b"[" else "jsonl" if start == b"{" or suffix == ".json" else "csv"
