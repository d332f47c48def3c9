"""The work on one shard of the sources: read, clean, filter. Runs in any process, and is done once.

What is made of a shard lies in a folder of its own, whole or not at all, with the digests of its files: a run that was
killed goes on from the shards that stand, and does again those whose files are not as they were written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tunesmith.core.errors import UserError
from tunesmith.core.examples import ExampleWriter
from tunesmith.core.files import atomic_folder, read_json, sweep_temporary, write_json
from tunesmith.core.ids import digest_folder
from tunesmith.core.protocols import CorpusFilter
from tunesmith.core.types import Drop, Example
from tunesmith.data.operations import SOURCES, Tallies, carried, corpus_filters, row_operations
from tunesmith.data.read._parts import Part
from tunesmith.data.spec import DataSpec
from tunesmith.data.texts import system_count

_REPORT = "report.json"
FOUND = "found: "
"""What notes begin with that say how many pieces of a class a cleaner found."""
_PIECE_BYTES, _PIECE_ROWS = 4_000_000, 20_000
"""Text, or rows, that are written into one file, which is what later passes hold in memory at a time."""


@dataclass(frozen=True)
class Shard:
    """A part of a source; `part` None: all of it, where the source cannot be divided."""

    number: int
    source: int
    part: Part | None


@dataclass(frozen=True)
class Job:
    """What every shard needs to know.

    Args:
        spec: the section `data`.
        root: project folder.
        labels: closed set of answers, empty if open.
        folder: where what is made of shards lies.
    """

    spec: DataSpec
    root: Path
    labels: tuple[str, ...]
    folder: Path


def divide(spec: DataSpec, root: Path) -> list[Shard]:
    """The shards of all sources, in order: they depend on the files alone.

    Raises:
        UserError: everything that is wrong with the sources.
    """
    built = [SOURCES.build(use, where=f"data.sources[{i}]") for i, use in enumerate(spec.sources)]
    problems = [problem for source in built if hasattr(source, "check") for problem in source.check(root)]
    if problems:
        raise UserError(problems)
    shards: list[Shard] = []
    for i, source in enumerate(built):
        parts = source.parts(root) if hasattr(source, "read_part") else [None]
        shards += [Shard(len(shards) + k, i, part) for k, part in enumerate(parts)]
    return shards


def prepare(job: Job, shard: Shard) -> dict[str, Any]:
    """Read, clean and filter one shard, unless that was done before.

    Returns:
        `pieces`: rows in each file of kept rows; `tallies`, `notes` as the source wrote them.
    """

    def work(out: Path) -> dict[str, Any]:
        notes: Counter[str] = Counter()
        operations, corpus = row_operations(job.spec, job.labels), corpus_filters(job.spec)
        tallies = Tallies(["read", *(operation.step for operation in operations)])
        with Made(out, corpus) as made:
            for item in _read(job, shard, notes):
                after, before = carried(item, operations, tallies)
                if isinstance(after, Drop):
                    made.drop(after, before)
                else:
                    made.keep(after)
        for operation in operations:
            notes.update({f"{FOUND}{kind}": count for kind, count in getattr(operation, "found", {}).items()})
        return {
            "pieces": made.pieces,
            "tallies": [tally.model_dump() for tally in tallies.all()],
            "notes": dict(sorted((name, count) for name, count in notes.items() if count)),
        }

    return once(job.folder / f"{shard.number:06d}", work)


def once(folder: Path, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What `work` reports, which writes its files into the folder that it is given; from the disk if it was done."""
    if (done := _finished(folder)) is not None:
        return done
    sweep_temporary(folder.parent, of=folder.name)
    with atomic_folder(folder) as out:
        report = work(out)
        write_json(out / _REPORT, {"report": report, "digests": digest_folder(out)})
    return report


def _finished(folder: Path) -> dict[str, Any] | None:
    """The report that stands in a folder; None where there is none, or a file is not as it was written."""
    try:
        told = read_json(folder / _REPORT)
        report: dict[str, Any] = told["report"]
        return report if told["digests"] == digest_folder(folder, skip=[_REPORT]) else None
    except (UserError, KeyError, TypeError, OSError):
        return None


def _read(job: Job, shard: Shard, notes: Counter[str]) -> Iterator[Example | Drop]:
    """Sources of this package can be divided, and tell what they notice; a source of another package need not."""
    source: Any = SOURCES.build(job.spec.sources[shard.source], where=f"data.sources[{shard.source}]")
    rows: Iterator[Example | Drop]
    if shard.part is not None:
        rows = source.read_part(job.root, job.labels, part=shard.part, notes=notes)
    else:
        rows = source.read(job.root, job.labels)
    return rows


@dataclass
class Made:
    """The files of a shard: `rows-N.parquet`, `notes-N-K.jsonl`, `systems-N.json`, `drops.jsonl`, `aside.parquet`."""

    folder: Path
    corpus: dict[str, CorpusFilter]
    pieces: list[int] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)
    _drops: IO[str] | None = None
    _aside: ExampleWriter | None = None
    _waiting: list[Example] = field(default_factory=list)
    _size: int = 0

    def __enter__(self) -> Made:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._open.close()

    def keep(self, example: Example) -> None:
        """A row that goes on."""
        self._waiting.append(example)
        self._size += _characters(example)
        if self._size >= _PIECE_BYTES or len(self._waiting) == _PIECE_ROWS:
            self._flush()

    def drop(self, drop: Drop, example: Example | None) -> None:
        """A row that does not; kept whole beside where it is set aside."""
        if self._drops is None:
            self._drops = self._open.enter_context((self.folder / "drops.jsonl").open("w", encoding="utf-8"))
        self._drops.write(drop_line(drop))
        if drop.fate == "aside" and example is not None:
            if self._aside is None:
                self._aside = self._open.enter_context(ExampleWriter(self.folder / "aside.parquet"))
            self._aside.add(example)

    def _flush(self) -> None:
        if not self._waiting:
            return
        number = len(self.pieces)
        with ExampleWriter(self.folder / f"rows-{number}.parquet") as writer:
            for example in self._waiting:
                writer.add(example)
        for k, filter_ in enumerate(self.corpus.values()):
            with (self.folder / f"notes-{number}-{k}.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(filter_.note(example)) + "\n" for example in self._waiting)
        systems = [[general, text, rows] for (general, text), rows in sorted(system_count(self._waiting).items())]
        write_json(self.folder / f"systems-{number}.json", systems)
        self.pieces.append(len(self._waiting))
        self._waiting, self._size = [], 0


def _characters(example: Example) -> int:
    """How much text a row holds: a chain of thought or a call of a tool may be far longer than what is said."""
    turns = [*example.messages, *([example.rejected] if example.rejected else [])]
    said = sum(len(turn.content) + len(turn.reasoning or "") for turn in turns)
    return said + sum(len(call.arguments) for turn in turns for call in turn.tool_calls) + sum(map(len, example.tools))


def drop_line(drop: Drop) -> str:
    """A drop as a line of `drops.jsonl`; a character that UTF-8 cannot hold is replaced."""
    line = json.dumps(drop.model_dump(), ensure_ascii=False)
    return line.encode("utf-8", "replace").decode("utf-8") + "\n"
