"""Conversations in the formats that users already have, told apart row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import DataKind, Drop, Example, Split, example_id
from tunesmith.data.read._csv import Record
from tunesmith.data.read._files import Format, locate
from tunesmith.data.read._labels import held_to
from tunesmith.data.read._lines import STEP
from tunesmith.data.read._messages import Unusable
from tunesmith.data.read._parts import WHOLE, Divided, Part
from tunesmith.data.read._rows import row_parts, rows
from tunesmith.data.read._shapes import found_in, shape_of, unknown_shape
from tunesmith.data.read._template import as_text, missing_columns

_PEEKED_ROWS = 100


@dataclass(frozen=True)
class Conversations(Divided):
    """Conversations as alpaca, sharegpt, OpenAI messages, preference pairs or KTO rows; the shape is detected.

    Tools, calls, reasoning (`<think>`, `reasoning_content`, typed parts), images, sounds and switched-off turns are
    kept. How many rows of which shape were found is told while reading and stands in the datasheet.

    Example:
        {use: conversations, path: chats.jsonl, licence: Apache-2.0}

    Args:
        path: the file (JSONL, a JSON list, Parquet); relative paths lie inside the project folder.
        target: key of the short reference that metrics compare with; None: the last assistant turn is.
        group: key; rows with the same value stay in one split.
        attributes: keys that the model does not see and results are sliced by.
        split: the split that this whole file belongs to; None: the splitter decides. `general`: rows that are not of
            the domain and must not be forgotten; terms like `replay` and `ewc` read them.
        format: how to read the file; `auto`: by suffix and content.
        kind: how structured the rows are, for the mix and the datasheet.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
        max_line_mb: longest line that is read, in MB.
    """

    path: str
    target: str | None = None
    group: str | None = None
    attributes: tuple[str, ...] = ()
    split: Split | None = None
    format: Literal["auto"] | Format = "auto"
    kind: DataKind = "unstructured"
    licence: str = ""
    consent: str = ""
    max_line_mb: float = 10.0

    def parts(self, root: Path) -> list[Part]:
        """Stretches of the file that can be read apart."""
        form = None if self.format == "auto" else self.format
        return row_parts(locate(root, self.path), self.path, form=form, max_bytes=int(self.max_line_mb * 1_000_000))

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`."""
        for item in self._rows(root, notes, part):
            if isinstance(item, Drop):
                yield item
                continue
            try:
                made = self._made(item)
            except Unusable as error:
                yield Drop(place=item.place, step=STEP, reason=error.reason, detail=error.detail, byte=item.byte)
            else:
                notes[f"format: {shape_of(item.row)}"] += 1
                yield held_to(made, labels)

    def files(self, root: Path) -> list[Path]:
        """The files that are read."""
        return [locate(root, self.path)]

    def check(self, root: Path) -> list[Problem]:
        """A file that cannot be used; one whose first 100 rows have no known shape, or lack a key that is asked for."""
        try:
            first = list(islice(self._rows(root, Counter()), _PEEKED_ROWS))
        except UserError as error:
            return list(error.problems)
        if not first:
            return [Problem("empty-file", "the file has no rows", "export it again, or drop the source", self.path)]
        read = [item.row for item in first if not isinstance(item, Drop)]
        if read and not any(shape_of(row) for row in read):
            hint = "rows with columns of your own are read by {use: table, template: ..., answer: ...}"
            return [Problem("unknown-format", unknown_shape(read[0]), hint, self.path)]
        needed = [*self.attributes, *(key for key in (self.target, self.group) if key is not None)]
        known = dict.fromkeys(key for row in read for key in row)
        return missing_columns(needed, known, self.path) if known else []

    def _rows(self, root: Path, notes: Counter[str], part: Part = WHOLE) -> Iterator[Record | Drop]:
        form = None if self.format == "auto" else self.format
        max_bytes = int(self.max_line_mb * 1_000_000)
        return rows(locate(root, self.path), self.path, form=form, max_bytes=max_bytes, notes=notes, part=part)

    def _made(self, record: Record) -> Example:
        row = record.row
        found = found_in(row)
        absent = [key for key in (*self.attributes, self.target, self.group) if key is not None and key not in row]
        if absent:
            raise Unusable("missing-column", f"there is no '{absent[0]}'")
        target = as_text(row[self.target]) if self.target is not None else None
        return Example(
            id=example_id(found.messages, target, found.rejected),
            messages=found.messages,
            target=target,
            rejected=found.rejected,
            desirable=found.desirable,
            tools=found.tools,
            images=found.images,
            audio=found.audio,
            group=(as_text(row[self.group]) or None) if self.group is not None else None,
            attributes={name: as_text(row[name]) for name in self.attributes},
            kind=self.kind,
            source=self.path,
            licence=self.licence,
            place=record.place,
            byte=record.byte,
            split=self.split,
        )
