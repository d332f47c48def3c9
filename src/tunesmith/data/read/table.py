"""Rows of a table as instructions, through templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import DataKind, Drop, Example, Message, Split, example_id
from tunesmith.data.read._csv import Record
from tunesmith.data.read._files import Format, detect_format, locate
from tunesmith.data.read._labels import held_to
from tunesmith.data.read._lines import STEP
from tunesmith.data.read._parts import WHOLE, Divided, Part
from tunesmith.data.read._rows import row_parts, rows
from tunesmith.data.read._template import Template, as_text, column_or_template, missing_columns, parse_template
from tunesmith.data.read._think import assistant_turn

_PEEKED_ROWS = 100


@dataclass(frozen=True)
class Table(Divided):
    """Rows of a CSV, TSV, JSONL, JSON, Parquet or workbook table become instructions through templates.

    Example:
        {use: table, path: loans.csv, system: "Answer good or bad.", template: "Age {age}, amount {amount} EUR.",
         answer: rating, group: customer, attributes: [sex]}

    Args:
        path: the file; relative paths lie inside the project folder.
        template: the user's message, with `{column}` places; `{{` and `}}` are braces.
        answer: the assistant's message: a column, or a template. Reasoning may lead it: `<think>{why}</think>{label}`.
        target: the short reference that metrics compare with: a column or a template; None: the answer is.
        system: the system message (a template); None: there is none.
        group: column or template; rows with the same value stay in one split.
        attributes: columns that the model does not see and results are sliced by, e.g. protected groups.
        split: the split that this whole file belongs to; None: the splitter decides. `general`: rows that are not of
            the domain and must not be forgotten; terms like `replay` and `ewc` read them.
        format: how to read the file; `auto`: by suffix and content.
        kind: how structured the rows are, for the mix and the datasheet.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
        max_line_mb: longest line that is read, in MB.
    """

    path: str
    template: str
    answer: str
    target: str | None = None
    system: str | None = None
    group: str | None = None
    attributes: tuple[str, ...] = ()
    split: Split | None = None
    format: Literal["auto"] | Format = "auto"
    kind: DataKind = "structured"
    licence: str = ""
    consent: str = ""
    max_line_mb: float = 10.0

    def parts(self, root: Path) -> list[Part]:
        """Stretches of the file that can be read apart."""
        file = locate(root, self.path)
        return row_parts(file, self.path, form=self._form(root), max_bytes=int(self.max_line_mb * 1_000_000))

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`."""
        form = f"format: {self._form(root)} table"
        for item in self._rows(root, notes, part):
            if isinstance(item, Drop):
                yield item
            else:
                notes[form] += 1
                made = self.made(item)
                yield held_to(made, labels) if isinstance(made, Example) else made

    def files(self, root: Path) -> list[Path]:
        """The files that are read."""
        return [locate(root, self.path)]

    def check(self, root: Path) -> list[Problem]:
        """Templates that cannot be parsed; a file that cannot be used; columns that its first 100 rows do not have."""
        try:
            first = list(islice(self._rows(root, Counter()), _PEEKED_ROWS))
            known = dict.fromkeys(column for item in first if not isinstance(item, Drop) for column in item.row)
            problems = self.missing(known) if known else []
        except UserError as error:
            return list(error.problems)
        if not first:
            return [Problem("empty-file", "the file has no rows", "export it again, or drop the source", self.path)]
        return problems

    def missing(self, known: Iterable[str]) -> list[Problem]:
        """A problem for each column that is asked for and not known; UserError: a template cannot be parsed."""
        needed = [*(c for t in self._templates.values() for c in t.columns), *self.attributes]
        return missing_columns(needed, known, self.path)

    @cached_property
    def _templates(self) -> dict[str, Template]:
        """Setting -> template, for the settings that are given."""
        templates = {"template": parse_template(self.template, "template")}
        if self.system is not None:
            templates["system"] = parse_template(self.system, "system")
        for name in ("answer", "target", "group"):
            text = getattr(self, name)
            if text is not None:
                templates[name] = column_or_template(text, name)
        return templates

    def _form(self, root: Path) -> Format:
        return detect_format(locate(root, self.path), self.path) if self.format == "auto" else self.format

    def _rows(self, root: Path, notes: Counter[str], part: Part = WHOLE) -> Iterator[Record | Drop]:
        max_bytes = int(self.max_line_mb * 1_000_000)
        file = locate(root, self.path)
        return rows(file, self.path, form=self._form(root), max_bytes=max_bytes, notes=notes, part=part)

    def made(self, record: Record) -> Example | Drop:
        """The row as an example; a drop where it lacks a column or an answer."""
        place, row, byte = record
        try:
            texts = {name: template.render(row) for name, template in self._templates.items()}
            attributes = {name: as_text(row[name]) for name in self.attributes}
        except KeyError as error:
            return Drop(place=place, step=STEP, reason="missing-column", detail=f"there is no {error}", byte=byte)
        for name in ("answer", "target"):
            if name in texts and not texts[name].strip():
                return Drop(place=place, step=STEP, reason="empty-answer", detail=f"'{name}' is empty", byte=byte)
        system = (Message(role="system", content=texts["system"]),) if "system" in texts else ()
        turns = (*system, Message(role="user", content=texts["template"]), assistant_turn(texts["answer"]))
        target = texts.get("target")
        return Example(
            id=example_id(turns, target),
            messages=turns,
            target=target,
            group=texts.get("group") or None,
            attributes=attributes,
            kind=self.kind,
            source=self.path,
            licence=self.licence,
            place=place,
            byte=byte,
            split=self.split,
        )
