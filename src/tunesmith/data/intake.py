"""Rows in: sources are divided, read, cleaned and filtered, shard by shard; too much that is unusable ends the run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Executor
from tunesmith.core.types import Drop, Tally
from tunesmith.data.operations import CLEANERS, FILTERS, READ, SOURCES, Tallies
from tunesmith.data.rows import Rows
from tunesmith.data.shards import FOUND, Job, divide, prepare
from tunesmith.data.spec import DataSpec, Limits

__all__ = ["CLEANERS", "FILTERS", "SOURCES", "Intake", "take_in"]

_SHOWN = 5


@dataclass(frozen=True)
class _Tolerated:
    """A kind of unusable row that a limit of the project file bounds."""

    code: str
    setting: str
    what: str


_UNREADABLE = _Tolerated("broken-rows", "broken", "cannot be read")
_UNKNOWN = _Tolerated("unknown-labels", "unknown_labels", "have an answer that is not in profile.labels")
_HINTS = {"invalid-utf8": "if the file is GB18030 or Latin-1, convert it: iconv -f GB18030 -t UTF-8 OLD > NEW"}
_READABLE = {"unknown-label", "empty-answer"}


@dataclass(frozen=True)
class Intake:
    """What came in.

    Fields:
        rows: those that went on, on disk.
        tallies: what became of each row at each operation so far.
        sources: per source its settings and what was noticed while reading, for the datasheet.
    """

    rows: Rows
    tallies: Tallies
    sources: list[dict[str, Any]]


def take_in(job: Job, executor: Executor, *, events: Events, stage: str) -> Intake:
    """Read, clean and filter every source.

    Raises:
        UserError: a source cannot be used; more rows are unreadable or have unknown labels than the limits allow; no
            row is left. The snapshot has not been begun by then.
    """
    shards = divide(job.spec, job.root)
    tallies = Tallies()
    sources = [_Source(job.spec, i) for i in range(len(job.spec.sources))]
    pieces: list[list[int]] = []
    results = executor.map(partial(prepare, job), shards)
    for shard, report in zip(shards, results, strict=True):
        counts = [Tally.model_validate(count) for count in report["tallies"]]
        tallies.add(counts)
        pieces.append(report["pieces"])
        source = sources[shard.source]
        source.add(counts[0].rows_in, report["notes"])
        events.tell("progress", stage, f"reading {source.shown}", done=source.rows, total=None, unit="rows")
        if shard.number + 1 == len(shards) or shards[shard.number + 1].source != shard.source:
            events.tell("note", stage, source.sentence())
    folders = [job.folder / f"{shard.number:06d}" for shard in shards]
    rows = Rows.of(folders, pieces)
    _refuse_beyond(rows, tallies, job.spec.limits)
    return Intake(rows, tallies, [source.told() for source in sources])


class _Source:
    """What is told of one source."""

    def __init__(self, spec: DataSpec, number: int) -> None:
        use = spec.sources[number]
        source = SOURCES.build(use)
        self.use, self.path = use.use, str(use.settings.get("path", ""))
        self.licence, self.kind = getattr(source, "licence", ""), getattr(source, "kind", "")
        self.consent = getattr(source, "consent", "")
        self.rows = 0
        self.notes: Counter[str] = Counter()

    @property
    def shown(self) -> str:
        """What it is called."""
        return self.path or self.use

    def add(self, rows: int, notes: dict[str, int]) -> None:
        """Rows of one shard."""
        self.rows += rows
        self.notes.update(notes)

    def sentence(self) -> str:
        """What was read, in words."""
        noticed = ", ".join(f"{name} ({count:,})" for name, count in sorted(self.notes.items()))
        return f"{self.shown}: {self.rows:,} rows; {noticed}"

    def told(self) -> dict[str, Any]:
        """For the datasheet; the kind is empty where rows of several kinds come from one source."""
        told = {"use": self.use, "path": self.path, "licence": self.licence, "consent": self.consent, "kind": self.kind}
        found = {name.removeprefix(FOUND): count for name, count in self.notes.items() if name.startswith(FOUND)}
        notes = {name: count for name, count in self.notes.items() if not name.startswith(FOUND)}
        return {**told, "rows": self.rows, "notes": dict(sorted(notes.items())), "found": dict(sorted(found.items()))}


def _refuse_beyond(rows: Rows, tallies: Tallies, limits: Limits) -> None:
    read, *_ = tallies.all() or [Tally(step=READ, rows_in=0, kept=0)]
    unknown = read.dropped.get("unknown-label", 0)
    unreadable = sum(count for reason, count in read.dropped.items() if reason not in _READABLE)
    problems = _beyond(unreadable, read.rows_in, limits, _UNREADABLE, _first(rows, unknown=False))
    problems += _beyond(unknown, read.rows_in, limits, _UNKNOWN, _first(rows, unknown=True))
    if not problems and not rows.count:
        reasons = Counter({reason: n for tally in tallies.all() for reason, n in tally.dropped.items()})
        told = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common())
        message = f"no row is left of {read.rows_in:,}: {told or 'the sources are empty'}"
        problems = [Problem("no-rows", message, "mend the source, or the settings that drop its rows", "data.sources")]
    if problems:
        raise UserError(problems)


def _first(rows: Rows, *, unknown: bool) -> Iterator[Drop]:
    """Rows with an unknown label, or unreadable ones, from the first on."""
    for folder in rows.folders:
        for drop in rows.drops(folder):
            if drop.step == READ and (drop.reason == "unknown-label" if unknown else drop.reason not in _READABLE):
                yield drop


def _beyond(found: int, rows: int, limits: Limits, kind: _Tolerated, drops: Iterator[Drop]) -> list[Problem]:
    """One problem that counts, then one for each of the first five rows; none within the limit."""
    limit = float(getattr(limits, kind.setting))
    if not found or found <= limit * rows:
        return []
    share = found / rows
    message = f"{found:,} of {rows:,} rows ({share:.1%}) {kind.what}, the limit is {limit:.1%}"
    hint = f"mend them, or set data.limits.{kind.setting}: {math.ceil(share * 100) / 100:.2f}"
    shown = [_of_row(drop) for drop, _ in zip(drops, range(_SHOWN), strict=False)]
    return [Problem(kind.code, message, hint, "data.sources"), *shown]


def _of_row(drop: Drop) -> Problem:
    path, _, line = drop.place.rpartition(":")
    if not line.isdigit():
        path, line = drop.place, ""
    hint = _HINTS.get(drop.reason, "")
    return Problem(drop.reason, drop.detail or drop.reason, hint, path, int(line) if line else None)
