"""Rows of any table or list of records: (place, column -> value), or the drop that a row has to be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._csv import Record, csv_rows
from tunesmith.data.read._files import Format, detect_format
from tunesmith.data.read._lines import STEP, Line, lines


def rows(
    path: Path, shown: str, *, form: Format | None = None, max_bytes: int, notes: Counter[str] | None = None
) -> Iterator[Record | Drop]:
    """Every row of the file exactly once, in order, streaming.

    Args:
        path: an existing file, see `locate`.
        shown: its name in places: `name:line`, or `name:row` where rows have no lines (Parquet, JSON list).
        form: the format; None: found by `detect_format`.
        max_bytes: longest line of CSV and JSONL; a JSON list is read as a whole.
        notes: what was noticed and mended is counted here.

    Raises:
        UserError: the file as a whole cannot be read in this format.
    """
    notes = Counter() if notes is None else notes
    form = form or detect_format(path, shown)
    if form == "parquet":
        return _parquet_rows(path, shown, notes)
    if form == "json":
        return _json_rows(path, shown)
    if form == "jsonl":
        return _jsonl_rows(path, shown, max_bytes, notes)
    separator = "\t" if form == "tsv" else None
    return csv_rows(path, shown, separator=separator, max_bytes=max_bytes, notes=notes)


class BrokenJson(ValueError):
    """A text that is not JSON; `line` is 1-based where it is known."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line


def parse_json(text: str) -> Any:
    """A JSON value, strictly: NaN, infinity and lone surrogates are refused, as is what is nested too deeply.

    Raises:
        BrokenJson: what is wrong, in words.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise BrokenJson(f"{error.msg} at column {error.colno}", error.lineno) from None
    except RecursionError:
        raise BrokenJson("nested too deeply") from None
    except UnicodeEncodeError:
        raise BrokenJson("half of a surrogate pair (\\ud800 to \\udfff) is not a character") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise BrokenJson(str(error)) from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BrokenJson(f"{name} is not JSON")


def _jsonl_rows(path: Path, shown: str, max_bytes: int, notes: Counter[str]) -> Iterator[Record | Drop]:
    for line in lines(path, shown, max_bytes=max_bytes, notes=notes):
        if isinstance(line, Line):
            place = f"{shown}:{line.number}"
            try:
                yield _record(parse_json(line.text), place)
            except BrokenJson as error:
                detail = f"{error}: {shorten(line.text, width=60)}"
                yield Drop(place=place, step=STEP, reason="broken-json", detail=detail)
        else:
            yield line


def _record(value: Any, place: str) -> Record | Drop:
    if isinstance(value, dict):
        return place, value
    detail = f"a JSON object is expected, found {shorten(value, width=60)}"
    return Drop(place=place, step=STEP, reason="not-an-object", detail=detail)


def _json_rows(path: Path, shown: str) -> Iterator[Record | Drop]:
    """The elements of one JSON list, read as a whole: after a broken element nobody knows where the next one begins."""
    hint = "mend it, or write one JSON object a line (JSONL), where a broken row spoils only itself"
    try:
        value = parse_json(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(Problem("invalid-utf8", "a byte is not UTF-8", hint, shown, line)) from None
    except BrokenJson as error:
        raise UserError(Problem("broken-json", f"not JSON: {error}", hint, shown, error.line)) from None
    if not isinstance(value, list):
        message = f"a list of objects is expected, found {shorten(value, width=60)}"
        raise UserError(Problem("wrong-format", message, hint, shown))
    if not value:
        raise UserError(Problem("empty-file", "the list is empty", "export the data again, or drop the source", shown))
    for number, row in enumerate(value, start=1):
        yield _record(row, f"{shown}:{number}")


def _parquet_rows(path: Path, shown: str, notes: Counter[str]) -> Iterator[Record | Drop]:
    """Rows of a Parquet file; nulls inside nested columns are taken out again.

    Arrow gives every object of a column the keys of all objects and fills the absent ones with null. Such a null can
    not be told from one that the data had, and it changes tool schemas and arguments; so none is kept, and it is noted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{shown}:{number}", row | {name: _without_nulls(row[name], notes) for name in nested}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"not readable as Parquet: {shorten(str(error))}"
        raise UserError(Problem("broken-parquet", message, "write the file again", shown)) from None


def _without_nulls(value: Any, notes: Counter[str]) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item, notes) for item in value]
    if not isinstance(value, dict):
        return value
    if nulls := sum(item is None for item in value.values()):
        notes["nulls taken out of nested columns"] += nulls
    return {key: _without_nulls(item, notes) for key, item in value.items() if item is not None}
