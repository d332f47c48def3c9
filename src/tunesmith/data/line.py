"""The line behind the sources: what needs all rows, then the snapshot's files, in one pass over the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import ExampleWriter
from tunesmith.core.protocols import CorpusFilter, Executor
from tunesmith.core.types import Drop, Example, Refusal, Split, Tally
from tunesmith.data import duplicates
from tunesmith.data.duplicates import Copy, copies
from tunesmith.data.index import NAMES, Index, Piece, joined, piece_of
from tunesmith.data.operations import Tallies, dropped
from tunesmith.data.rows import Notes, Rows, Stretch
from tunesmith.data.shards import drop_line, once
from tunesmith.data.snapshot import Description
from tunesmith.data.spec import Duplicates
from tunesmith.data.split import STEP as SPLIT_STEP
from tunesmith.data.split import cap_rows
from tunesmith.data.vectors import Encoding


@dataclass(frozen=True)
class Indexing:
    """How rows are indexed, in stretches that are kept on disk like the shards.

    Args:
        folder: where they are kept.
        shared: system texts that are no row's own, see `Rows.shared_systems`.
        seed: of the numbers drawn.
        threshold: Jaccard share from which on texts are near, see `near.near`; None: not looked for.
        labels: closed set of answers, empty if open.
        encoding: the encoder that reads questions; None: their meaning is not looked at.
    """

    folder: Path
    shared: frozenset[int]
    seed: int
    threshold: float | None
    labels: tuple[str, ...] = ()
    encoding: Encoding | None = None

    def index(self, rows: Rows, executor: Executor) -> Index:
        """The index of all rows; what was indexed before is read from disk."""
        folders = list(executor.map(partial(_index, self), rows.stretches))
        index = joined(Piece.read(Path(place)) for place in folders)
        return replace(index, executor=executor, folder=self.folder)


def _index(job: Indexing, stretch: Stretch) -> str:
    folder = job.folder / f"index-{stretch.first:012d}"

    def work(out: Path) -> dict[str, Any]:
        examples = stretch.examples()
        piece = piece_of(examples, job.shared, seed=job.seed, near=job.threshold is not None, labels=job.labels)
        vectors = None if job.encoding is None else job.encoding.read(examples, job.shared)
        replace(piece, vectors=vectors).write(out)
        return {}

    once(folder, work)
    return str(folder)


@dataclass
class Line:
    """Rows on their way; each operation takes some out of the index and is counted.

    Fields:
        rows: all that came in.
        index: what is known of them, and which are still there.
        tallies: what became of each row at each operation.
        gone: row -> (operation, why).
        yields: maker's operation -> what it asked for, made, spent and kept, where it tells that.
    """

    rows: Rows
    index: Index
    tallies: Tallies
    gone: dict[int, tuple[str, Refusal | Copy]] = field(default_factory=dict)
    yields: dict[str, dict[str, Any]] = field(default_factory=dict)

    def grow(self, rows: Rows, indexing: Indexing, executor: Executor) -> None:
        """Take in new rows behind those that are there, and index them.

        Args:
            rows: the old rows, and new ones behind them.
            indexing: that of the old rows.
            executor: where new ones are indexed.
        """
        old = self.index
        self.rows, self.index = rows, indexing.index(rows, executor)
        self.index.kept[: len(old.rows)] = old.kept
        self.index.rows["split"][: len(old.rows)] = old.rows["split"]

    def refuse(self, step: str, refused: Mapping[int, Refusal | Copy]) -> None:
        """Take out these rows."""
        before = int(self.index.kept.sum())
        self.index.kept[list(refused)] = False
        self._count(step, before, refused)

    def filter(self, step: str, number: int, corpus: CorpusFilter) -> None:
        """Let one filter that looks at all rows decide.

        Raises:
            TunesmithError: it did not decide of every row.
        """
        before = np.flatnonzero(self.index.kept).tolist()
        decided = iter(corpus.decide(Notes(self.rows, number, self.index.kept.copy())))
        refused: dict[int, Refusal | Copy] = {}
        try:
            for row, refusal in zip(before, decided, strict=True):
                if refusal is not None:
                    refused[row] = refusal
        except ValueError as error:
            raise TunesmithError(f"{step} must give one word for each of {len(before):,} rows: {error}") from error
        self.refuse(step, refused)

    def merge_copies(self, spec: Duplicates) -> None:
        """Merge copies into the row that stays, and set rows aside that contradict each other, where that is asked."""
        before = int(self.index.kept.sum())
        gone: dict[int, Refusal | Copy] = dict(copies(self.index, spec))
        if spec.contradicting == "aside":
            against = duplicates.contradicting(self.index)
            self.index.kept[against] = False
            gone.update(dict.fromkeys(against, duplicates.CONTRADICTING))
        self._count(duplicates.STEP, before, gone)

    def cap(self, at_most: dict[Split, int]) -> None:
        """Take out rows beyond the caps."""
        before = int(self.index.kept.sum())
        refused: dict[int, Refusal | Copy] = {}
        for split, rows in cap_rows(self.index, at_most).items():
            refusal = Refusal(reason="over-cap", detail=f"at_most_rows.{split} is {at_most[split]}")
            refused.update(dict.fromkeys(rows, refusal))
        self._count(SPLIT_STEP, before, refused)

    def _count(self, step: str, before: int, refused: Mapping[int, Refusal | Copy]) -> None:
        self.gone.update((row, (step, why)) for row, why in refused.items())
        lost = Counter(why.reason for why in refused.values() if not _merged(why))
        merged = Counter(why.reason for why in refused.values() if _merged(why))
        kept = int(self.index.kept.sum())
        tally = Tally(
            step=step,
            rows_in=before,
            kept=kept,
            dropped=dict(sorted(lost.items())),
            merged=dict(sorted(merged.items())),
        )
        self.tallies.add([tally])

    def write(self, folder: Path) -> Description:
        """Write `examples.parquet`, `drops.jsonl` and, where rows were set aside, `aside.parquet`, in order.

        Returns:
            What the datasheet tells of the rows that were kept.
        """
        keepers = {why.keeper for _, why in self.gone.values() if isinstance(why, Copy)}
        places = self.rows.places(keepers)
        told = Description()
        with ExitStack() as stack:
            written = stack.enter_context(ExampleWriter(folder / "examples.parquet"))
            drops = stack.enter_context((folder / "drops.jsonl").open("w", encoding="utf-8"))
            aside = stack.enter_context(_Aside(folder / "aside.parquet"))
            for shard in self.rows.folders:
                drops.writelines(drop_line(drop) for drop in self.rows.drops(shard))
                aside.add(self.rows.aside(shard))
                for number, example in self.rows.of_shard(shard):
                    if self.index.kept[number]:
                        split = NAMES[int(self.index.rows["split"][number])]
                        kept = example.model_copy(update={"split": split})
                        written.add(kept)
                        told.add(kept)
                    else:
                        drop = self._drop(number, example, places)
                        drops.write(drop_line(drop))
                        aside.add([example] if drop.fate == "aside" else [])
        return told

    def _drop(self, number: int, example: Example, places: Mapping[int, str]) -> Drop:
        step, why = self.gone[number]
        if isinstance(why, Copy):
            why = Refusal(reason=why.reason, detail=why.detail(places[why.keeper]), fate="merged")
        return dropped(example, step, why)


def _merged(why: Refusal | Copy) -> bool:
    return isinstance(why, Copy) or why.fate == "merged"


class _Aside:
    """A file of examples that is only made when there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: ExampleWriter | None = None

    def __enter__(self) -> _Aside:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.__exit__(*error)

    def add(self, examples: Iterable[Example]) -> None:
        """Write more of them."""
        for example in examples:
            if self._writer is None:
                self._writer = ExampleWriter(self._path)
            self._writer.add(example)


def checked(tallies: Sequence[Tally], kept: int) -> tuple[Tally, ...]:
    """The tallies, each balanced, each given what the one before let go on, the last letting on what was written.

    Raises:
        TunesmithError: a row was lost or counted twice.
    """
    for tally, following in zip(tallies, [*(t.rows_in for t in tallies[1:]), kept], strict=True):
        if not tally.balanced or tally.kept != following:
            raise TunesmithError(f"rows are lost: {tally.model_dump()}, and {following:,} came after it")
    return tuple(tallies)
