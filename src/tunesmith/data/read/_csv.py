"""CSV and TSV records, quoted line breaks included; a record that cannot be read does not take the next one along."""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._lines import STEP, Line, lines

Record = tuple[str, dict[str, Any]]
_SEPARATORS = ",\t;|"


def csv_rows(
    path: Path, shown: str, *, separator: str | None, max_bytes: int, notes: Counter[str]
) -> Iterator[Record | Drop]:
    """(place, column -> text) for every record below the header.

    Args:
        path: the file.
        shown: its name in places.
        separator: one character; None: the one that the header has most of, among comma, tab, semicolon and bar.
        max_bytes: longest line, and longest record over several lines.
        notes: see `lines`.

    Raises:
        UserError: the header cannot be read, or names a column twice.
    """
    csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
    feeder = _Feeder(lines(path, shown, max_bytes=max_bytes, notes=notes), max_bytes)
    separator = separator or feeder.guess_separator()
    reader = csv.reader(feeder, delimiter=separator, strict=True)
    header: list[str] | None = None
    while True:
        found = _next_record(reader, feeder, shown)
        drops = feeder.take_drops()
        if header is None and drops:
            found = drops[0]
        else:
            yield from drops
        if found is None:
            return
        if header is None:
            header = _header(found, shown)
        elif isinstance(found, Drop):
            yield found
        else:
            yield _record(found, header, f"{shown}:{feeder.first}")


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
        return Drop(place=f"{shown}:{feeder.first}", step=STEP, reason=reason, detail=detail)
    if feeder.damaged:
        detail = "a line inside this quoted record could not be read"
        return Drop(place=f"{shown}:{feeder.first}", step=STEP, reason="broken-csv", detail=detail)
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


def _record(cells: list[str], header: list[str], place: str) -> Record | Drop:
    if len(cells) == len(header):
        return place, dict(zip(header, cells, strict=True))
    detail = f"{len(cells)} cells, the header has {len(header)}: {shorten(','.join(cells), width=60)}"
    return Drop(place=place, step=STEP, reason="wrong-column-count", detail=detail)


class _Feeder:
    """Gives lines to `csv.reader`, knows which lines a record took, and can take them back."""

    def __init__(self, source: Iterator[Line | Drop], max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._waiting: deque[Line] = deque()
        self._taken: list[Line] = []
        self._drops: list[Drop] = []
        self._size = 0
        self.too_long = False
        self.damaged = False

    def __iter__(self) -> _Feeder:
        return self

    def __next__(self) -> str:
        line = self._next_line()
        self._taken.append(line)
        self._size += len(line.text)
        if self._size > self._max_bytes and len(self._taken) > 1:
            self.too_long = True
            raise csv.Error("record too long")
        return line.text + "\n"

    @property
    def first(self) -> int:
        """Number of the line where the current record starts."""
        return self._taken[0].number if self._taken else 0

    def begin(self) -> None:
        """A new record starts with the next line."""
        self._taken, self._size, self.too_long, self.damaged = [], 0, False, False

    def give_back(self) -> None:
        """All lines of this record but the first are read again."""
        self._waiting.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]

    def take_drops(self) -> list[Drop]:
        """The lines that could not be read since the last call."""
        drops, self._drops = self._drops, []
        return drops

    def guess_separator(self) -> str:
        """The separator that the next line has most of; a comma where it has none."""
        try:
            line = self._next_line()
        except StopIteration:
            return ","
        self._waiting.appendleft(line)
        return max(_SEPARATORS, key=line.text.count)

    def _next_line(self) -> Line:
        if self._waiting:
            return self._waiting.popleft()
        for item in self._source:
            if isinstance(item, Line):
                return item
            self.damaged = self.damaged or bool(self._taken)
            self._drops.append(item)
        raise StopIteration
