"""All rows that the shards made: on disk, numbered through in the order of the sources."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.examples import iterate_examples, read_examples
from tunesmith.core.files import read_json
from tunesmith.core.types import Drop, Example
from tunesmith.data.near import Mask
from tunesmith.data.texts import SystemCount, shared_systems


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows of one file: `count` rows, the first of which has the number `first`."""

    folder: Path
    number: int
    first: int
    count: int

    def examples(self) -> list[Example]:
        """The rows."""
        return read_examples(self.folder / f"rows-{self.number}.parquet")


@dataclass(frozen=True)
class Rows:
    """All rows.

    Args:
        folders: of the shards, in order.
        stretches: the files in them, in order.
    """

    folders: Sequence[Path]
    stretches: Sequence[Stretch]

    @staticmethod
    def of(folders: Sequence[Path], pieces: Sequence[Sequence[int]]) -> Rows:
        """The rows in these folders, each with so many files of so many rows."""
        rows = Rows([], [])
        for folder, counts in zip(folders, pieces, strict=True):
            rows = rows.more(folder, counts)
        return rows

    def more(self, folder: Path, counts: Sequence[int]) -> Rows:
        """These rows, and behind them those of one more folder, with files of so many rows."""
        stretches = [*self.stretches]
        first = self.count
        for number, count in enumerate(counts):
            stretches.append(Stretch(folder, number, first, count))
            first += count
        return Rows([*self.folders, folder], stretches)

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(stretch.count for stretch in self.stretches)

    def of_shard(self, folder: Path) -> Iterator[tuple[int, Example]]:
        """(number, row) of the rows of one shard."""
        for stretch in self.stretches:
            if stretch.folder == folder:
                yield from enumerate(stretch.examples(), start=stretch.first)

    def each(self) -> Iterator[tuple[int, Example]]:
        """(number, row) of all rows."""
        for stretch in self.stretches:
            yield from enumerate(stretch.examples(), start=stretch.first)

    def drops(self, folder: Path) -> Iterator[Drop]:
        """The drops of one shard."""
        if (folder / "drops.jsonl").exists():
            with (folder / "drops.jsonl").open(encoding="utf-8") as file:
                yield from (Drop.model_validate_json(line) for line in file)

    def aside(self, folder: Path) -> Iterator[Example]:
        """The rows of one shard that were set aside."""
        if (folder / "aside.parquet").exists():
            yield from iterate_examples(folder / "aside.parquet")

    def places(self, numbers: Collection[int]) -> dict[int, str]:
        """Number -> place (or id, where a row has no place) of some rows."""
        import pyarrow.parquet as pq

        wanted = np.array(sorted(numbers), dtype=np.int64)
        found: dict[int, str] = {}
        for stretch in self.stretches:
            low, high = np.searchsorted(wanted, [stretch.first, stretch.first + stretch.count])
            if low < high:
                path = stretch.folder / f"rows-{stretch.number}.parquet"
                table = pq.read_table(path, columns=["place", "id"])
                for number in wanted[low:high].tolist():
                    place, id_ = (table.column(name)[number - stretch.first].as_py() for name in ("place", "id"))
                    found[number] = place or id_
        return found

    def shared_systems(self) -> frozenset[int]:
        """See `texts.shared_systems`.

        Only texts that reach the share in some file can reach it in all, so no others are counted through.
        """
        likely: set[int] = set()
        for count in self._system_counts():
            likely |= shared_systems(count, at_least=1)
        total = SystemCount()
        for count in self._system_counts():
            total.update({key: rows for key, rows in count.items() if key[1] in likely or key[1] == 0})
        return shared_systems(total)

    def _system_counts(self) -> Iterator[SystemCount]:
        for stretch in self.stretches:
            told = read_json(stretch.folder / f"systems-{stretch.number}.json")
            yield SystemCount({(bool(general), int(text)): int(rows) for general, text, rows in told})


@dataclass(frozen=True)
class Notes:
    """The notes of one corpus filter, of all rows that are still there; read anew each time they are gone through."""

    rows: Rows
    filter: int
    kept: Mask

    def __iter__(self) -> Iterator[Any]:
        for stretch in self.rows.stretches:
            kept = self.kept[stretch.first : stretch.first + stretch.count]
            path = stretch.folder / f"notes-{stretch.number}-{self.filter}.jsonl"
            with path.open(encoding="utf-8") as file:
                yield from (json.loads(line) for line, stays in zip(file, kept, strict=True) if stays)
