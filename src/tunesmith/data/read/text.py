"""Plain text for continued pre-training: documents, or their paragraphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import resolve_under
from tunesmith.core.types import DataKind, Drop, Example, Message, example_id
from tunesmith.data.read._files import BOM, locate
from tunesmith.data.read._lines import STEP
from tunesmith.data.read._parts import Divided, Part, file_parts
from tunesmith.data.read._rows import row_parts, rows
from tunesmith.data.read._template import as_text, missing_columns
from tunesmith.data.read._tree import plain_name

DOCUMENTS = (".txt", ".md")
TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_BLANK = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Text(Divided):
    """Plain domain text, on every token of which a phase with `rows: text` trains; nobody is asked anything.

    Example:
        {use: text, path: handbook}

    Args:
        path: a text file; a folder, of which every .txt and .md file is read, those in folders below too; or a table
            (JSONL, JSON, CSV, Parquet) with one text a row. Relative paths lie inside the project folder.
        column: the column of a table that holds the text.
        unit: a row is a whole document, or a paragraph (text between blank lines); rows of tables are documents.
        split: what the text is for: training, the validation loss of a text phase, or what must not be forgotten. The
            verdict is reached on questions, so text is never held out for it.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
        max_mb: longest document, or line of a table, that is read, in MB.
    """

    kind: ClassVar[DataKind] = "unstructured"

    path: str
    column: str = "text"
    unit: Literal["document", "paragraph"] = "document"
    split: Literal["train", "valid", "general"] = "train"
    licence: str = ""
    consent: str = ""
    max_mb: float = 50.0

    def parts(self, root: Path) -> list[Part]:
        """Some documents each; stretches of a table."""
        found = self._found(root)
        if len(found) == 1 and _is_table(found[0][0]):
            return row_parts(*found[0], max_bytes=self._most)
        return file_parts(file.stat().st_size for file, _ in found)

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`."""
        for file, shown in self._found(root)[part.file : part.file + part.files]:
            texts = self._table(file, shown, notes, part) if _is_table(file) else self._document(file, shown, notes)
            for item in texts:
                if isinstance(item, Example):
                    notes["format: text"] += 1
                yield item

    def files(self, root: Path) -> list[Path]:
        """The files that are read."""
        return [file for file, _ in self._found(root)]

    def check(self, root: Path) -> list[Problem]:
        """A path that cannot be used; a folder without text; a table that has no such column or no row."""
        try:
            found = self._found(root)
            first = {shown: self._first_row(file, shown) for file, shown in found if _is_table(file)}
        except UserError as error:
            return list(error.problems)
        for shown, row in first.items():
            if row is None:
                return [Problem("empty-file", "the file has no rows", "export it again, or drop the source", shown)]
            if not isinstance(row, Drop) and self.column not in row:
                return missing_columns([self.column], row, shown)
        if not any(_is_table(file) or _has_words(file) for file, _ in found):
            return [Problem("empty-file", "there is no text", "export it again, or drop the source", self.path)]
        return []

    def _found(self, root: Path) -> list[tuple[Path, str]]:
        """The files to read and their names in places."""
        if "\0" not in self.path and self.path.strip():
            full = Path(self.path) if Path(self.path).is_absolute() else resolve_under(root, self.path)
            if full.is_dir():
                files = sorted(file for file in full.rglob("*") if file.suffix.lower() in DOCUMENTS and file.is_file())
                if not files:
                    found = f"there is no {' or '.join(DOCUMENTS)} file in this folder"
                    raise UserError(Problem("empty-folder", found, "name the file, or another folder", self.path))
                return [(file, plain_name(f"{self.path}/{file.relative_to(full).as_posix()}")) for file in files]
        return [(locate(root, self.path), self.path)]

    def _first_row(self, file: Path, shown: str) -> dict[str, Any] | Drop | None:
        """The first row that can be read, or else the first drop; None: there are no rows."""
        dropped = None
        for item in rows(file, shown, max_bytes=self._most):
            if not isinstance(item, Drop):
                return item.row
            dropped = dropped or item
        return dropped

    def _table(self, file: Path, shown: str, notes: Counter[str], part: Part) -> Iterator[Example | Drop]:
        for item in rows(file, shown, max_bytes=self._most, notes=notes, part=part):
            if isinstance(item, Drop):
                yield item
            elif self.column not in item.row:
                detail = f"there is no '{self.column}'"
                yield Drop(place=item.place, step=STEP, reason="missing-column", detail=detail, byte=item.byte)
            else:
                yield self._made(as_text(item.row[self.column]), item.place, item.byte)

    def _document(self, file: Path, shown: str, notes: Counter[str]) -> Iterator[Example | Drop]:
        size = file.stat().st_size
        if size > self._most:
            detail = f"{size:,} bytes, the limit is {self._most:,} (max_mb)"
            yield Drop(place=shown, step=STEP, reason="document-too-long", detail=detail)
            return
        raw = file.read_bytes()
        if raw.startswith(BOM):
            notes["byte-order-mark"] += 1
        try:
            text = raw.removeprefix(BOM).decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            detail = f"byte 0x{raw[error.start]:02x} is not UTF-8"
            yield Drop(place=shown, step=STEP, reason="invalid-utf8", detail=detail)
            return
        if self.unit == "document":
            yield self._made(text, shown, 0)
            return
        for line, block in _paragraphs(text):
            yield self._made(block, f"{shown}:{line}")

    def _made(self, text: str, place: str, byte: int | None = None) -> Example | Drop:
        if "\0" in text:
            detail = "a NUL character stands in the text"
            return Drop(place=place, step=STEP, reason="nul-bytes", detail=detail, byte=byte)
        if not text.strip():
            return Drop(place=place, step=STEP, reason="empty-document", detail="nothing but space", byte=byte)
        said = (Message(role="user", content=text),)
        return Example(
            id=example_id(said, None),
            messages=said,
            kind=self.kind,
            source=self.path,
            licence=self.licence,
            place=place,
            byte=byte,
            split=self.split,
        )

    @property
    def _most(self) -> int:
        return int(self.max_mb * 1_000_000)


def _has_words(file: Path) -> bool:
    """Whether it is more than space; no more of it is read than is needed to know."""
    with file.open("rb") as opened:
        return any(piece.strip() for piece in iter(partial(opened.read, 1 << 16), b""))


def _is_table(file: Path) -> bool:
    return file.suffix.lower() in TABLES


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph; blank text is one paragraph."""
    body = text.strip()
    start = first = len(text) - len(text.lstrip()) if body else 0
    for gap in _BLANK.finditer(body):
        yield text.count("\n", 0, start) + 1, body[start - first : gap.start()]
        start = first + gap.end()
    yield text.count("\n", 0, start) + 1, body[start - first :]
