"""The stage `data`: from sources to a clean, split, documented snapshot, judged by gate G1."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, TunesmithError, UserError
from tunesmith.core.ids import digest_file
from tunesmith.core.protocols import Context
from tunesmith.core.spec import Use
from tunesmith.core.types import Drop, Example, Profile, Snapshot, Split
from tunesmith.data.duplicates import without_duplicates
from tunesmith.data.gate import judge
from tunesmith.data.intake import CLEANERS, SOURCES, Intake, take_in
from tunesmith.data.leak import leakage
from tunesmith.data.snapshot import datasheet, write_snapshot
from tunesmith.data.spec import DataSpec
from tunesmith.data.split import SPLITS, assign_splits, cap_rows
from tunesmith.data.texts import GENERAL

NAME = "data"
VERSION = "1"


def check(spec: DataSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section and with the heads of its files; reads at most 100 rows of each."""
    problems: list[Problem] = []
    if not spec.sources:
        problems.append(Problem("no-sources", "there is no source of rows", "add data.sources", "data.sources"))
    if spec.split.train + spec.split.valid + spec.split.test <= 0:
        problems.append(Problem("wrong-value", "the shares add up to nothing", "train: 0.8 is usual", "data.split"))
    for i, use in enumerate(spec.clean):
        problems += CLEANERS.problems(use, where=f"data.clean[{i}]")
    for i, use in enumerate(spec.sources):
        problems += _source_problems(use, root, f"data.sources[{i}]")
    return problems


def outside(spec: DataSpec, root: Path) -> dict[str, str]:
    """Path as written in the project file -> SHA-256, for every source file.

    Raises:
        UserError: a source cannot be built, or its file is missing.
    """
    found: dict[str, str] = {}
    for i, use in enumerate(spec.sources):
        found |= _digests(use, root, f"data.sources[{i}]")
    return found


def run(spec: DataSpec, *, profile: Profile, context: Context) -> Snapshot:
    """Read, clean, remove copies, split, cap, check for leaks, write, judge.

    Writes `examples.parquet`, `drops.jsonl`, `datasheet.json` and `datasheet.md` into `context.out`; the verdict of G1
    stands in the snapshot. A leak between splits that came ready-made is told, not repaired.

    Raises:
        UserError: see `intake.take_in`.
    """
    tell = context.events.tell
    intake = take_in(spec, context.root, profile.labels, events=context.events, stage=NAME)
    tell("note", NAME, "looking for copies, splitting, checking for leaks")
    kept, copies = without_duplicates(intake.examples, spec.duplicates)
    shares: dict[Split, float] = {"train": spec.split.train, "valid": spec.split.valid, "test": spec.split.test}
    kept = assign_splits(kept, shares, near=spec.duplicates.near, seed=context.seed)
    dealt = Counter(example.split for example in kept)
    kept, over = cap_rows(kept, spec.at_most_rows, seed=context.seed)
    drops = [*intake.drops, *copies, *over]
    snapshot = _counted(intake, kept, drops).model_copy(update={"leakage": leakage(kept, spec.duplicates.near)})
    verdict = judge(spec, snapshot, examples=kept, labels=profile.labels)
    snapshot = snapshot.model_copy(update={"gates": (verdict,)})
    digests = [_digests(use, context.root, "") for use in spec.sources]
    sources = [{**told, "digests": digest} for told, digest in zip(intake.sources, digests, strict=True)]
    sheet = datasheet(snapshot, kept, sources=sources, shares=_asked_and_reached(spec, dealt))
    write_snapshot(context.out, kept, drops, sheet)
    tell("note", NAME, f"{snapshot.kept:,} of {snapshot.rows_in:,} rows kept: {_told(snapshot.splits)}")
    return snapshot


def _counted(intake: Intake, kept: list[Example], drops: list[Drop]) -> Snapshot:
    """The counts; that none is lost is checked here on every run."""
    dropped = Counter(drop.reason for drop in drops)
    if intake.rows != len(kept) + dropped.total():
        raise TunesmithError(f"rows are lost: {intake.rows} in, {len(kept)} kept, {dropped.total()} dropped")
    splits = Counter(example.split for example in kept)
    return Snapshot(
        rows_in=intake.rows,
        kept=len(kept),
        dropped=dict(sorted(dropped.items())),
        splits={split: splits[split] for split in (*SPLITS, *([GENERAL] if splits[GENERAL] else []))},
        groups=len({e.group for e in kept if e.group is not None}) + sum(e.group is None for e in kept),
        changed=dict(sorted(intake.changed.items())),
    )


def _asked_and_reached(spec: DataSpec, dealt: Counter[Split | None]) -> dict[str, Any]:
    """Per split the wanted share (None: sources came split) and the one that whole groups allowed, before any cap.

    Shares are of the domain's rows: general ones are not counted.
    """
    shares = spec.split.model_dump()
    ready_made = all(use.settings.get("split") for use in spec.sources)
    rows = max(1, sum(dealt[split] for split in SPLITS))
    asked = {split: None if ready_made else round(shares[split] / sum(shares.values()), 4) for split in SPLITS}
    return {split: {"asked": asked[split], "reached": round(dealt[split] / rows, 4)} for split in SPLITS}


def _source_problems(use: Use, root: Path, where: str) -> list[Problem]:
    try:
        source = SOURCES.build(use, where=where)
    except UserError as error:
        return list(error.problems)
    found: list[Problem] = source.check(root) if hasattr(source, "check") else []
    return [dataclasses.replace(p, path=f"{where}.{p.path}") if p.path in use.settings else p for p in found]


def _digests(use: Use, root: Path, where: str) -> dict[str, str]:
    source: Any = SOURCES.build(use, where=where)
    files: list[Path] = source.files(root) if hasattr(source, "files") else []
    shown = str(use.settings.get("path", use.use))
    if len(files) == 1:
        return {shown: digest_file(files[0])}
    folder = os.path.commonpath([f.parent for f in files]) if files else ""
    return {f"{shown}/{f.relative_to(folder).as_posix()}": digest_file(f) for f in files}


def _told(splits: dict[str, int]) -> str:
    return ", ".join(f"{split} {rows:,}" for split, rows in splits.items())
