"""Rows in: sources are built, read and cleaned; what cannot be used is a drop, and too much of it ends the run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example
from tunesmith.data.cleaning import cleaned
from tunesmith.data.spec import DataSpec, Limits

SOURCES = Shelf("sources", "tunesmith.data.read")
CLEANERS = Shelf("cleaners", "tunesmith.data.clean")
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


@dataclass
class Intake:
    """What came in, as far as it got.

    Fields:
        examples, drops: the rows, in the order of the sources.
        changed: operation -> rows altered but kept.
        sources: per source its settings and what was noticed while reading, for the datasheet.
    """

    examples: list[Example] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    changed: Counter[str] = field(default_factory=Counter)
    sources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return len(self.examples) + len(self.drops)


def take_in(spec: DataSpec, root: Path, labels: Sequence[str], *, events: Events, stage: str) -> Intake:
    """Read and clean every source.

    Raises:
        UserError: a source cannot be used; more rows are unreadable or have unknown labels than the limits allow; no
            row is left. Nothing has been written by then.
    """
    built = [SOURCES.build(use, where=f"data.sources[{i}]") for i, use in enumerate(spec.sources)]
    cleaners = {use.use: CLEANERS.build(use, where=f"data.clean[{i}]") for i, use in enumerate(spec.clean)}
    intake = Intake()
    for use, source in zip(spec.sources, built, strict=True):
        notes: Counter[str] = Counter()
        before = intake.rows
        rows = events.track(_read(source, root, labels, notes), stage, f"reading {use.settings.get('path', use.use)}")
        for item in cleaned(rows, cleaners, labels=labels, changed=intake.changed):
            if isinstance(item, Drop):
                intake.drops.append(item)
            else:
                intake.examples.append(item)
        told = {"use": use.use, "path": str(use.settings.get("path", "")), "licence": getattr(source, "licence", "")}
        intake.sources.append({**told, "rows": intake.rows - before, "notes": dict(sorted(notes.items()))})
        noticed = ", ".join(f"{name} ({count:,})" for name, count in sorted(notes.items()))
        events.tell("note", stage, f"{told['path'] or use.use}: {intake.rows - before:,} rows; {noticed}")
    _refuse_beyond(intake, spec.limits)
    return intake


def _read(source: Any, root: Path, labels: Sequence[str], notes: Counter[str]) -> Iterator[Example | Drop]:
    """Sources of this package also tell what they notice; a source of another package need not."""
    rows: Iterator[Example | Drop]
    rows = source.read_noting(root, labels, notes) if hasattr(source, "read_noting") else source.read(root, labels)
    return rows


def _refuse_beyond(intake: Intake, limits: Limits) -> None:
    unreadable = [d for d in intake.drops if d.step == "read" and d.reason not in _READABLE]
    unknown = [d for d in intake.drops if d.reason == "unknown-label"]
    problems = _beyond(unreadable, intake.rows, limits, _UNREADABLE)
    problems += _beyond(unknown, intake.rows, limits, _UNKNOWN)
    if not problems and not intake.examples:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in Counter(d.reason for d in intake.drops).most_common())
        message = f"no row is left of {intake.rows:,}: {reasons or 'the sources are empty'}"
        problems = [Problem("no-rows", message, "mend the source, or the settings that drop its rows", "data.sources")]
    if problems:
        raise UserError(problems)


def _beyond(drops: list[Drop], rows: int, limits: Limits, kind: _Tolerated) -> list[Problem]:
    """One problem that counts, then one for each of the first five rows; none within the limit."""
    limit = float(getattr(limits, kind.setting))
    if not drops or len(drops) <= limit * rows:
        return []
    share = len(drops) / rows
    message = f"{len(drops):,} of {rows:,} rows ({share:.1%}) {kind.what}, the limit is {limit:.1%}"
    hint = f"mend them, or set data.limits.{kind.setting}: {math.ceil(share * 100) / 100:.2f}"
    return [Problem(kind.code, message, hint, "data.sources"), *(_of_row(drop) for drop in drops[:_SHOWN])]


def _of_row(drop: Drop) -> Problem:
    path, _, line = drop.place.rpartition(":")
    hint = _HINTS.get(drop.reason, "")
    return Problem(drop.reason, drop.detail or drop.reason, hint, path, int(line) if line.isdigit() else None)
