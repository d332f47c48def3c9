"""Documents of every kind: files, folders, patterns and archives of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from tunesmith.core.errors import MissingLibrary, Problem, UserError, shorten
from tunesmith.core.types import DataKind, Drop, Example, Message, example_id
from tunesmith.data.read._archive import members
from tunesmith.data.read._csv import Record
from tunesmith.data.read._files import Format, Held, detect_format
from tunesmith.data.read._labels import held_to
from tunesmith.data.read._lines import STEP
from tunesmith.data.read._messages import Unusable
from tunesmith.data.read._parts import Part
from tunesmith.data.read._rows import rows
from tunesmith.data.read._sandbox import FORMATS, Unreadable, pieces_of
from tunesmith.data.read._shapes import found_in, shape_of
from tunesmith.data.read._sniff import sniff
from tunesmith.data.read._template import as_text
from tunesmith.data.read._tree import Found, OfTree, files_of

_HEAD_BYTES = 4096
_KINDS: dict[Format, DataKind] = {"json": "semi_structured", "jsonl": "semi_structured"}
_BLANK = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Documents(OfTree):
    """Documents of every kind in a file, a folder, a pattern or an archive: each file is read as what it holds.

    PDF, Word, HTML, Markdown and plain text become plain text, trained on by phases with `rows: text`. Rows of tables
    (CSV, JSON, Parquet, workbooks) become texts too: their column `text`, or else lines `column: value`; rows that are
    conversations stay conversations. Zip and tar archives are read in memory, member by member.

    Example:
        {use: documents, path: manuals, licence: CC-BY-4.0}

    Args:
        path: a file, a folder with the folders below it, a pattern (`manuals/**/*.pdf`), or an archive. Relative paths
            lie inside the project folder.
        unit: a row is a whole document, a page (PDF; other documents have one), or a paragraph (between blank lines).
        split: what the text is for: training, the validation loss of a text phase, or what must not be forgotten.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
        seconds: processor time that a document may take, and as much again for each further 10 MB of it.
        max_mb: largest document, row of a table or member of an archive that is read, in MB.
    """

    path: str
    unit: Literal["document", "page", "paragraph"] = "document"
    split: Literal["train", "valid", "general"] = "train"
    licence: str = ""
    consent: str = ""
    seconds: float = 2.0
    max_mb: float = 50.0

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`."""
        for found in files_of(root, self.path, part):
            for item in self._of_file(found, notes):
                yield held_to(item, labels) if isinstance(item, Example) and item.text is None else item

    def check(self, root: Path) -> list[Problem]:
        """A path that cannot be used; files that are all empty."""
        try:
            files = self.files(root)
        except UserError as error:
            return list(error.problems)
        if not any(_has_words(file) for file in files):
            return [Problem("empty-file", "there is no text", "export it again, or drop the source", self.path)]
        return []

    def _of_file(self, found: Found, notes: Counter[str]) -> Iterator[Example | Drop]:
        if found.problem is not None:
            yield found.problem
        elif sniff(found.path)[0] == "archive":
            notes["archives"] += 1
            for member in members(found.path, found.shown, most_bytes=self._most):
                yield from [member] if isinstance(member, Drop) else self._of(member, member.shown, notes)
        else:
            yield from self._of(found.path, found.shown, notes)

    def _of(self, opener: Path | Held, shown: str, notes: Counter[str]) -> Iterator[Example | Drop]:
        """One file that is no archive, or one member of an archive."""
        what, form = sniff(opener)
        if what == "table":
            yield from self._of_table(opener, shown, cast(Format, form), notes)
            return
        with opener.open("rb") as file:
            content = file.read(self._most + 1)
        if what == "archive":
            yield _drop(shown, "nested-archive", "an archive inside an archive is not opened")
        elif what == "unknown":
            yield _drop(shown, "unknown-format", f"no known format begins with {content[:8]!r}")
        elif len(content) > self._most:
            yield _drop(shown, "document-too-long", f"more than {self._most:,} bytes (max_mb)")
        else:
            byte = 0 if isinstance(opener, Path) else None
            yield from self._of_document(form, content, shown, notes=notes, byte=byte)

    def _of_document(
        self, name: str, content: bytes, shown: str, *, notes: Counter[str], byte: int | None
    ) -> Iterator[Example | Drop]:
        seconds = self.seconds * max(1.0, len(content) / 1e7)
        try:
            pieces = pieces_of(name, content, seconds=seconds)
        except Unreadable as error:
            yield _drop(shown, error.reason, f"{name}: {error.detail}")
            return
        notes[f"format: {name}"] += 1
        kind: DataKind = FORMATS.get(name).kind
        texts = [(number, text) for number, text in pieces if text.strip()]
        notes["blank pages"] += max(0, len(pieces) - max(1, len(texts)))
        if not texts:
            yield _drop(shown, "empty-document", "nothing but space")
        elif self.unit == "page" and texts[0][0] is not None:
            for number, text in texts:
                yield self._made(text, f"{shown}:{number}", kind=kind, group=shown)
        else:
            whole = "\n\n".join(text for _, text in texts)
            yield from self._units(whole, shown, kind=kind, byte=byte)

    def _units(self, text: str, shown: str, *, kind: DataKind, byte: int | None) -> Iterator[Example | Drop]:
        if self.unit != "paragraph":
            yield self._made(text, shown, kind=kind, byte=byte)
            return
        for number, paragraph in enumerate(_BLANK.split(text.strip()), start=1):
            yield self._made(paragraph, f"{shown}:{number}", kind=kind, group=shown)

    def _of_table(self, opener: Path | Held, shown: str, form: Format, notes: Counter[str]) -> Iterator[Example | Drop]:
        kind: DataKind = _KINDS.get(form, "structured")
        try:
            if form in ("csv", "tsv", "jsonl"):
                detect_format(opener, shown)  # says of another encoding what it is
            for item in rows(opener, shown, form=form, max_bytes=self._most, notes=notes):
                if isinstance(item, Record):
                    notes[f"format: {form} row"] += 1
                yield item if isinstance(item, Drop) else self._of_row(item, kind)
        except MissingLibrary:
            raise
        except UserError as error:  # the rest of this file is lost, and no other one
            problem = error.problems[0]
            place = shown + (f":{problem.line}" if problem.line is not None else "")
            yield _drop(place, problem.code, problem.message)

    def _of_row(self, record: Record, kind: DataKind) -> Example | Drop:
        row = record.row
        if shape_of(row) is None:
            text = row.get("text")
            lines = (f"{name}: {as_text(value)}" for name, value in row.items() if as_text(value).strip())
            return self._made(
                text if isinstance(text, str) else "\n".join(lines), record.place, kind=kind, byte=record.byte
            )
        try:
            found = found_in(row)
        except Unusable as error:
            return Drop(place=record.place, step=STEP, reason=error.reason, detail=error.detail, byte=record.byte)
        return Example(
            id=example_id(found.messages, None, found.rejected),
            messages=found.messages,
            rejected=found.rejected,
            desirable=found.desirable,
            tools=found.tools,
            images=found.images,
            audio=found.audio,
            kind=kind,
            source=self.path,
            licence=self.licence,
            place=record.place,
            byte=record.byte,
            split=self.split,
        )

    def _made(
        self, text: str, place: str, *, kind: DataKind, byte: int | None = None, group: str | None = None
    ) -> Example | Drop:
        if "\0" in text:
            return _drop(place, "nul-bytes", "a NUL character stands in the text", byte)
        if not text.strip():
            return _drop(place, "empty-document", "nothing but space", byte)
        said = (Message(role="user", content=text),)
        return Example(
            id=example_id(said, None),
            messages=said,
            group=group,
            kind=kind,
            source=self.path,
            licence=self.licence,
            place=place,
            byte=byte,
            split=self.split,
        )

    @property
    def _most(self) -> int:
        return int(self.max_mb * 1_000_000)


def _drop(place: str, reason: str, detail: str, byte: int | None = None) -> Drop:
    return Drop(place=place, step=STEP, reason=reason, detail=shorten(detail, width=200), byte=byte)


def _has_words(file: Path) -> bool:
    with file.open("rb") as opened:
        return bool(opened.read(_HEAD_BYTES).strip())
