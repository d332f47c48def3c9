"""How a file is divided into parts that can be read apart: the same parts whoever reads them, in whatever number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Drop, Example

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


class Divided(ABC):
    """A source that can be read in parts, each by another worker."""

    def read(self, root: Path, labels: Sequence[str]) -> Iterator[Example | Drop]:
        """Every row once, part after part; see `core.protocols.Source`."""
        problems = self.check(root)
        if problems:
            raise UserError(problems)
        for part in self.parts(root):
            yield from self.read_part(root, labels, part=part, notes=Counter())

    @abstractmethod
    def check(self, root: Path) -> list[Problem]:
        """Everything that speaks against reading it; looks at the first rows at most."""

    @abstractmethod
    def parts(self, root: Path) -> list[Part]:
        """The parts, in order: they depend on the files alone."""

    @abstractmethod
    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`; what is noticed on the way (formats, mended bytes) is counted in `notes`."""


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
