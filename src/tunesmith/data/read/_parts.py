"""How a file is divided into parts that can be read apart: the same parts whoever reads them, in whatever number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 4_000_000
"""A part ends with the first row that reaches this size; small enough that eight workers share 32 MB evenly."""
PART_FILES = 64
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a source's rows.

    Args:
        file: which of the source's files; the first one, where the part has several.
        files: how many whole files it has.
        start, end: for a part of one file: what begins in these bytes (row groups, for Parquet); `end` None: the rest.
        line: number of the line (for Parquet: of the row) before `start`.
        names: of the files below a folder, where they were looked for there.
    """

    file: int = 0
    files: int = 1
    start: int = 0
    end: int | None = None
    line: int = 0
    names: tuple[str, ...] = ()


WHOLE = Part()


def line_parts(path: Path, file: int = 0, *, size: int | None = None) -> list[Part]:
    """Parts of a file whose rows are lines: whole lines, of at least `size` bytes each but the last."""
    size = PART_BYTES if size is None else size
    parts: list[Part] = []
    start = offset = before = lines = 0
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            done = 0
            while (at := chunk.find(b"\n", max(done, start + size - 1 - offset))) >= 0:
                lines += chunk.count(b"\n", done, at + 1)
                done = at + 1
                parts.append(Part(file, start=start, end=offset + done, line=before))
                start, before = offset + done, lines
            lines += chunk.count(b"\n", done)
            offset += len(chunk)
    return parts if parts and start == offset else [*parts, Part(file, start=start, end=offset, line=before)]


def file_parts(sizes: Iterable[int]) -> list[Part]:
    """Parts of many whole files: up to 64 each, or as many as reach the size of a part."""
    parts: list[Part] = []
    first = count = held = 0
    for number, size in enumerate(sizes):
        if count and (count == PART_FILES or held + size > PART_BYTES):
            parts.append(Part(first, count))
            first, count, held = number, 0, 0
        count, held = count + 1, held + size
    return [*parts, Part(first, count)] if count else parts
