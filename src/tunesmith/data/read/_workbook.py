"""Rows of spreadsheets, each sheet with the header in its first row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Drop
from tunesmith.data.read._csv import Record
from tunesmith.data.read._files import Opener
from tunesmith.data.read._sandbox import Unreadable, sheet_rows

_MOST_BYTES = 200_000_000
_SECONDS, _SECONDS_A_MB = 2.0, 2.0


def workbook_rows(path: Path | Opener, shown: str) -> Iterator[Record | Drop]:
    """Every row below the header of every sheet, at the place `FILE/SHEET:ROW`; blank rows are none.

    Raises:
        UserError: the workbook cannot be read, or a sheet names a column twice.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        message = f"a workbook is read as a whole, and this one has more than {_MOST_BYTES:,} bytes"
        raise UserError(Problem("wrong-format", message, "export it as CSV", shown))
    seconds = _SECONDS + _SECONDS_A_MB * len(content) / 1e6
    header: list[str] = []
    try:
        for sheet, number, cells in sheet_rows(content, seconds=seconds):
            place = f"{shown}/{sheet}"
            if number == 1:
                header = _header(cells, place)
            else:
                yield Record(f"{place}:{number}", dict(zip(header, cells, strict=True)))
    except Unreadable as error:
        hint = "open and save it again, or export it as CSV"
        raise UserError(Problem("broken-workbook", f"not readable as a workbook: {error}", hint, shown)) from None


def _header(cells: list[Any], place: str) -> list[str]:
    names = [str(cell).strip() for cell in cells]
    twice = sorted(name for name, count in Counter(names).items() if count > 1 and name)
    if twice:
        message = f"the header names {', '.join(repr(name) for name in twice)} more than once"
        raise UserError(Problem("duplicate-column", message, "give every column a name of its own", place, 1))
    return [name or f"column {number}" for number, name in enumerate(names, start=1)]
