"""Rows of any table or list of records: (place, column -> value), or the drop that a row has to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._csv import Record, csv_parts, csv_rows
from tunesmith.data.read._files import Format, Opener, detect_format
from tunesmith.data.read._json import BrokenJson, list_items, parse_json
from tunesmith.data.read._lines import STEP, Line, lines
from tunesmith.data.read._parts import PART_BYTES, WHOLE, Part, line_parts
from tunesmith.data.read._workbook import workbook_rows


def rows(
    path: Path | Opener,
    shown: str,
    *,
    form: Format | None = None,
    max_bytes: int,
    notes: Counter[str] | None = None,
    part: Part = WHOLE,
) -> Iterator[Record | Drop]:
    """Every row of the part exactly once, in order, streaming.

    Args:
        path: an existing file, see `locate`.
        shown: its name in places: `name:line`, or `name:row` where rows have no lines (Parquet, JSON list, workbook).
        form: the format; None: found by `detect_format`.
        max_bytes: longest line of CSV and JSONL, longest element of a JSON list.
        notes: what was noticed and mended is counted here.
        part: one of `row_parts`.

    Raises:
        UserError: the file as a whole cannot be read in this format.
    """
    notes = Counter() if notes is None else notes
    form = form or detect_format(path, shown)
    if form == "parquet":
        return _parquet_rows(path, shown, notes, part)
    if form == "json":
        return _json_rows(path, shown, max_bytes)
    if form == "workbook":
        return workbook_rows(path, shown)
    if form == "jsonl":
        return _jsonl_rows(lines(path, shown, max_bytes=max_bytes, notes=notes, part=part), shown)
    return csv_rows(path, shown, separator=_separator(form), max_bytes=max_bytes, notes=notes, part=part)


def row_parts(path: Path, shown: str, *, form: Format | None = None, max_bytes: int, file: int = 0) -> list[Part]:
    """Parts that can be read apart and together are the file; a JSON list and a workbook are one part.

    Raises:
        UserError: see `rows`.
    """
    form = form or detect_format(path, shown)
    if form == "jsonl":
        return line_parts(path, file)
    if form in ("csv", "tsv"):
        return csv_parts(path, separator=_separator(form), max_bytes=max_bytes, file=file)
    return _parquet_parts(path, shown, file) if form == "parquet" else [Part(file)]


def _separator(form: Format) -> str | None:
    return "\t" if form == "tsv" else None


def _jsonl_rows(found: Iterator[Line | Drop], shown: str) -> Iterator[Record | Drop]:
    for line in found:
        if isinstance(line, Drop):
            yield line
            continue
        place = f"{shown}:{line.number}"
        try:
            yield _record(parse_json(line.text), place, line.byte)
        except BrokenJson as error:
            detail = f"{error}: {shorten(line.text, width=60)}"
            yield Drop(place=place, step=STEP, reason="broken-json", detail=detail, byte=line.byte)


def _record(value: Any, place: str, byte: int) -> Record | Drop:
    if isinstance(value, dict):
        return Record(place, value, byte)
    detail = f"a JSON object is expected, found {shorten(value, width=60)}"
    return Drop(place=place, step=STEP, reason="not-an-object", detail=detail, byte=byte)


def _json_rows(path: Path | Opener, shown: str, max_bytes: int) -> Iterator[Record | Drop]:
    for number, (value, byte) in enumerate(list_items(path, shown, max_bytes=max_bytes), start=1):
        yield _record(value, f"{shown}:{number}", byte)


def _parquet_rows(path: Path | Opener, shown: str, notes: Counter[str], part: Part) -> Iterator[Record | Drop]:
    """Rows of a Parquet file; nulls inside nested columns are taken out again.

    Arrow gives every object of a column the keys of all objects and fills the absent ones with null. Such a null can
    not be told from one that the data had, and it changes tool schemas and arguments; so none is kept, and it is noted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = part.line
    try:
        with path.open("rb") as raw, pq.ParquetFile(raw) as file:
            nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
            end = file.num_row_groups if part.end is None else part.end
            for batch in file.iter_batches(batch_size=1024, row_groups=range(part.start, end)):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{shown}:{number}", row | {name: _without_nulls(row[name], notes) for name in nested})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken_parquet(error, shown) from None


def _parquet_parts(path: Path, shown: str, file: int) -> list[Part]:
    """Whole row groups, as many as reach the size of a part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts: list[Part] = []
    start = line = row = held = 0
    try:
        with path.open("rb") as raw, pq.ParquetFile(raw) as opened:
            groups = [opened.metadata.row_group(i) for i in range(opened.num_row_groups)]
            sizes = [(group.num_rows, group.total_byte_size) for group in groups]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken_parquet(error, shown) from None
    for group, (count, size) in enumerate(sizes, start=1):
        row, held = row + count, held + size
        if held >= PART_BYTES or group == len(sizes):
            parts.append(Part(file, start=start, end=group, line=line))
            start, line, held = group, row, 0
    return parts or [Part(file)]


def _broken_parquet(error: Exception, shown: str) -> UserError:
    message = f"not readable as Parquet: {shorten(str(error))}"
    return UserError(Problem("broken-parquet", message, "write the file again", shown))


def _without_nulls(value: Any, notes: Counter[str]) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item, notes) for item in value]
    if not isinstance(value, dict):
        return value
    if nulls := sum(item is None for item in value.values()):
        notes["nulls taken out of nested columns"] += nulls
    return {key: _without_nulls(item, notes) for key, item in value.items() if item is not None}
