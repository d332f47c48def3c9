"""Cells of spreadsheets (calamine). Formulas are not computed: what counts is the value that was saved with them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

_MOST_BYTES = 500_000_000


def sheet_rows(content: bytes) -> Iterator[tuple[str, int, list[Any]]]:
    """(sheet, row, cells) of every row that is not blank; row 1 is the sheet's first one, the header.

    Cells are JSON values, dates and times ISO texts.

    Raises:
        ValueError: what is packed in it would unpack to more than 500 MB.
    """
    from python_calamine import CalamineWorkbook

    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"it unpacks to {size:,} bytes, the limit is {_MOST_BYTES:,}")
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    for name in book.sheet_names:
        for number, row in enumerate(book.get_sheet_by_name(name).iter_rows(), start=1):
            if number == 1 or any(cell not in ("", None) for cell in row):
                yield name, number, [_plain(cell) for cell in row]


def _plain(cell: Any) -> Any:
    """A JSON value: whole numbers without the `.0` that spreadsheets give every number, dates and times as ISO text."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    return cell if isinstance(cell, str | int | float | bool | None) else str(cell)
