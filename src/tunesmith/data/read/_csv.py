"""CSV and TSV records, quoted line breaks included; a record that cannot be read does not take the next one along."""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._files import Opener
from tunesmith.data.read._lines import STEP, Line, lines
from tunesmith.data.read._parts import PART_BYTES, WHOLE, Part

_SEPARATORS = ",\t;|"


class Record(NamedTuple):
    """One row of a table: where it stands, column -> value, and the offset of its first byte where it has one."""

    place: str
    row: dict[str, Any]
    byte: int | None = None


def csv_rows(
    path: Path | Opener,
    shown: str,
    *,
    separator: str | None,
    max_bytes: int,
    notes: Counter[str],
    part: Part = WHOLE,
) -> Iterator[Record | Drop]:
    """Every record of the part below the header.

    Args:
        path: the file.
        shown: its name in places.
        separator: one character; None: the one that the header has most of, among comma, tab, semicolon and bar.
        max_bytes: longest line, and longest record over several lines.
        notes: see `lines`.
        part: which records, one of `csv_parts`.

    Raises:
        UserError: the header cannot be read, or names a column twice.
    """
    feeder = _Feeder(lines(path, shown, max_bytes=max_bytes, notes=notes, part=part), max_bytes)
    top = feeder
    if part.start:
        top = _Feeder(lines(path, shown, max_bytes=max_bytes, notes=Counter()), max_bytes)
    separator = separator or top.guess_separator()
    header = _read_header(top, separator, shown)
    reader = _reader(feeder, separator, max_bytes)
    while header is not None:
        found = _next_record(reader, feeder, shown)
        yield from feeder.take_drops()
        if found is None:
            return
        yield found if isinstance(found, Drop) else _record(found, header, feeder, shown)


def csv_parts(
    path: Path, *, separator: str | None, max_bytes: int, file: int = 0, size: int | None = None
) -> list[Part]:
    """Parts that begin where a record does: the file is gone through once, since a quote may hold line ends.

    A file whose header cannot be read is one part, whose reading tells what is wrong.
    """
    size = PART_BYTES if size is None else size
    total = path.stat().st_size
    if total <= size:
        return [Part(file)]
    feeder = _Feeder(lines(path, "", max_bytes=max_bytes, notes=Counter()), max_bytes)
    separator = separator or feeder.guess_separator()
    try:
        _read_header(feeder, separator, "")
    except UserError:
        return [Part(file)]
    reader, parts, start, line = _reader(feeder, separator, max_bytes), [], 0, 0
    while _next_record(reader, feeder, "") is not None:
        feeder.take_drops()
        if feeder.first_byte >= start + size:
            parts.append(Part(file, start=start, end=feeder.first_byte, line=line))
            start, line = feeder.first_byte, feeder.first - 1
    return [*parts, Part(file, start=start, end=total, line=line)]


def _reader(feeder: _Feeder, separator: str, max_bytes: int) -> Any:
    csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
    return csv.reader(feeder, delimiter=separator, strict=True)


def _read_header(feeder: _Feeder, separator: str, shown: str) -> list[str] | None:
    """The names in the first line; None: there is no line."""
    found = _next_record(_reader(feeder, separator, feeder.max_bytes), feeder, shown)
    drops = feeder.take_drops()
    if drops:
        found = drops[0]
    return None if found is None else _header(found, shown)


def _next_record(reader: Any, feeder: _Feeder, shown: str) -> list[str] | Drop | None:
    """The cells of the next record, a drop, or None at the end of the file."""
    feeder.begin()
    try:
        cells: list[str] = next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        reason, detail = "broken-csv", str(error)
        if feeder.too_long or "unexpected end" in detail:
            reason, detail = "unclosed-quote", "a quote opens here and is never closed"
            feeder.give_back()
        return feeder.drop(shown, reason, detail)
    if feeder.damaged:
        return feeder.drop(shown, "broken-csv", "a line inside this quoted record could not be read")
    return cells


def _header(found: list[str] | Drop, shown: str) -> list[str]:
    if isinstance(found, Drop):
        message = f"the header cannot be read: {found.detail}"
        raise UserError(Problem("broken-header", message, "mend the first line", shown, 1))
    names = [name.strip() for name in found]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        message = f"the header names {', '.join(repr(name) for name in twice)} more than once"
        raise UserError(Problem("duplicate-column", message, "give every column a name of its own", shown, 1))
    return names


def _record(cells: list[str], header: list[str], feeder: _Feeder, shown: str) -> Record | Drop:
    if len(cells) == len(header):
        return Record(f"{shown}:{feeder.first}", dict(zip(header, cells, strict=True)), feeder.first_byte)
    detail = f"{len(cells)} cells, the header has {len(header)}: {shorten(','.join(cells), width=60)}"
    return feeder.drop(shown, "wrong-column-count", detail)


class _Feeder:
    """Gives lines to `csv.reader`, knows which lines a record took, and can take them back."""

    def __init__(self, source: Iterator[Line | Drop], max_bytes: int) -> None:
        self._source = source
        self.max_bytes = max_bytes
        self._waiting: deque[Line | Drop] = deque()
        self._taken: list[Line | Drop] = []
        self._drops: list[Drop] = []
        self._size = 0
        self._begun: Line | None = None
        self.too_long = False

    def __iter__(self) -> _Feeder:
        return self

    def __next__(self) -> str:
        line = self._next_line()
        long = self._begun is not None and self._size + len(line.text) > self.max_bytes
        self._begun = self._begun or line
        self._size += len(line.text)
        if long:
            self.too_long = True
            raise csv.Error("record too long")
        return line.text + "\n"

    @property
    def first(self) -> int:
        """Number of the line where the current record starts."""
        return self._begun.number if self._begun else 0

    @property
    def first_byte(self) -> int:
        """Offset of that line in the file."""
        return self._begun.byte if self._begun else 0

    @property
    def damaged(self) -> bool:
        """Whether a line inside the current record could not be read."""
        return any(isinstance(item, Drop) for item in self._taken)

    def drop(self, shown: str, reason: str, detail: str) -> Drop:
        """The current record as a drop."""
        place = f"{shown}:{self.first}"
        return Drop(place=place, step=STEP, reason=reason, detail=detail, byte=self.first_byte)

    def begin(self) -> None:
        """A new record starts with the next line."""
        self._drops += [item for item in self._taken if isinstance(item, Drop)]
        self._taken, self._size, self._begun, self.too_long = [], 0, None, False

    def give_back(self) -> None:
        """All lines of this record but the first are read again, those that could not be read too."""
        self._waiting.extendleft(reversed(self._taken))
        self._taken = []

    def take_drops(self) -> list[Drop]:
        """The lines that could not be read before the current record, and inside it."""
        inside = [item for item in self._taken if isinstance(item, Drop)]
        self._taken = [item for item in self._taken if not isinstance(item, Drop)]
        drops, self._drops = [*self._drops, *inside], []
        return drops

    def guess_separator(self) -> str:
        """The separator that the next line has most of; a comma where it has none."""
        try:
            line = self._next_line()
        except StopIteration:
            return ","
        self._waiting.appendleft(line)
        self._taken = []
        return max(_SEPARATORS, key=line.text.count)

    def _next_line(self) -> Line:
        """The next line that can be read; what the record takes after its first line is remembered."""
        while True:
            item = self._waiting.popleft() if self._waiting else next(self._source)
            if isinstance(item, Drop) and self._begun is None:
                self._drops.append(item)
                continue
            if self._begun is not None:
                self._taken.append(item)
            if isinstance(item, Line):
                return item
