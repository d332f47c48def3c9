"""The stage `data`: from sources to a clean, split, documented snapshot, judged by gate G1."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.ids import content_id, digest_file
from tunesmith.core.protocols import Context
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.core.types import Profile, Reason, Snapshot, Split, Tally
from tunesmith.data import mixing, public_tests, vectors
from tunesmith.data.gate import judge, planted_reasons
from tunesmith.data.index import SPLITS, Index
from tunesmith.data.intake import CLEANERS, FILTERS, SOURCES, take_in
from tunesmith.data.knowledge.tables import synonyms_outside
from tunesmith.data.label.card import card_of, file_reason
from tunesmith.data.leak import leakage, placed, shown_rows
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.line import Indexing, Line, checked
from tunesmith.data.making import Training, make_all, makers
from tunesmith.data.operations import AUGMENTERS, EXTRACTORS, SYNTHESIZERS, corpus_filters
from tunesmith.data.read._tree import plain_name
from tunesmith.data.shards import Job
from tunesmith.data.snapshot import datasheet, write_datasheet
from tunesmith.data.spec import DataSpec
from tunesmith.data.split import assign_splits
from tunesmith.data.texts import GENERAL, hash_of

NAME = "data"
VERSION = "8"


def check(spec: DataSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section and with the heads of its files; reads at most 100 rows of each."""
    problems: list[Problem] = []
    if not spec.sources:
        problems.append(Problem("no-sources", "there is no source of rows", "add data.sources", "data.sources"))
    if spec.split.train + spec.split.valid + spec.split.test <= 0:
        problems.append(Problem("wrong-value", "the shares add up to nothing", "train: 0.8 is usual", "data.split"))
    for i, use in enumerate(spec.clean):
        problems += CLEANERS.problems(use, where=f"data.clean[{i}]")
    for i, use in enumerate(spec.filter):
        problems += FILTERS.problems(use, where=f"data.filter[{i}]")
    for i, use in enumerate(spec.extract):
        problems += EXTRACTORS.problems(use, where=f"data.extract[{i}]")
    for kind, shelf in (("sources", SOURCES), ("synthesize", SYNTHESIZERS), ("augment", AUGMENTERS)):
        for i, use in enumerate(getattr(spec, kind)):
            problems += _own_problems(shelf, use, root, f"data.{kind}[{i}]")
    problems += mixing.problems(spec.mix)
    problems += spec.tasks.check("data.tasks")
    problems += public_tests.problems(spec.public_tests, root)
    problems += vectors.problems(spec.leaks, root)
    return problems


def outside(spec: DataSpec, root: Path) -> dict[str, str]:
    """Path as written in the project file -> SHA-256, for every source file; for a query, of what it gives.

    What else decides beside the settings stands there too: a fingerprint of the secret that stand-ins are made with.

    Raises:
        UserError: a source cannot be built, or its file is missing; a secret is wanted and there is none.
    """
    found: dict[str, str] = {}
    for i, use in enumerate(spec.sources):
        found |= _digests(use, root, f"data.sources[{i}]")
    found |= synonyms_outside(spec.facts.synonyms, root)
    for file in (file for use in spec.sources for file in _files(SOURCES.build(use), root)):
        if card_of(file).is_file():
            found[os.path.relpath(card_of(file), root)] = digest_file(card_of(file))
    extractors = [EXTRACTORS.build(use, where=f"data.extract[{i}]") for i, use in enumerate(spec.extract)]
    for component in (*extractors, *makers(spec).values()):
        found |= component.outside(root) if hasattr(component, "outside") else {}
    found |= public_tests.digests(spec.public_tests, root) | vectors.digests(spec.leaks, root)
    return found | _secrets(spec)


def run(spec: DataSpec, *, profile: Profile, context: Context) -> Snapshot:
    """Read, clean, filter, merge copies, split, cap, make more rows, mix, check for leaks, write, judge.

    Writes `examples.parquet`, `drops.jsonl`, `datasheet.json`, `datasheet.md` and, where a filter set rows aside,
    `aside.parquet` into `context.out`, and with `extract` the graph of facts; the verdict of G1 stands in the snapshot.
    A leak between splits that came ready-made is told, not repaired. Shards are prepared by `context.executor` and kept
    in `context.scratch`, so a run that was killed goes on where it was.

    Raises:
        UserError: see `intake.take_in`.
    """
    tell = context.events.tell
    digests = [_digests(use, context.root, "") for use in spec.sources]
    key = {"version": VERSION, "spec": spec, "labels": profile.labels, "seed": context.seed, "digests": digests}
    key |= {"secrets": _secrets(spec)}
    folder = context.scratch / content_id("line", key)
    job = Job(spec, context.root, profile.labels, folder)
    intake = take_in(job, context.executor, events=context.events, stage=NAME)
    tell("note", NAME, "looking for copies, splitting, checking for leaks")
    threshold = spec.duplicates.near
    encoding = vectors.Encoding.of(spec.leaks, context.root)
    indexing = Indexing(folder, intake.rows.shared_systems(), context.seed, threshold, profile.labels, encoding)
    line = Line(intake.rows, indexing.index(intake.rows, context.executor), intake.tallies)
    for number, (step, corpus) in enumerate(corpus_filters(spec).items()):
        line.filter(step, number, corpus)
    line.merge_copies(spec.duplicates)
    near = line.index.near("asked", threshold) if threshold is not None else None
    shares: dict[Split, float] = {"train": spec.split.train, "valid": spec.split.valid, "test": spec.split.test}
    assign_splits(line.index, shares, near=near)
    dealt = {split: int(line.index.of_split(split).sum()) for split in SPLITS}
    line.cap(spec.at_most_rows)
    facts = _facts(line, spec, context)
    make_all(line, makers(spec), indexing, leaks=_judged(spec), context=context)
    mixed = mixing.mix_rows(line, spec.mix)
    index = line.index
    leaks = leakage(index, near, threshold, spec.leaks)
    leaks = placed(leaks, line.rows.places(shown_rows(leaks)))
    leaks["public"] = public_tests.public_leakage(
        index, line.rows, spec.public_tests, root=context.root, near=threshold, spec=spec.leaks
    )
    tasks, further = _tasks(line, spec, context)
    told = line.write(context.out)
    snapshot = _counted(checked(intake.tallies.all(), told.rows), index).model_copy(update={"leakage": leaks})
    further += [*_agreements(spec, context.root), *planted_reasons(told.planted)]
    trained = _trained(index, profile.labels)
    verdict = judge(spec, snapshot, trained=trained, labels=profile.labels, further=further)
    snapshot = snapshot.model_copy(update={"gates": (verdict,)})
    sources = [{**source, "digests": found} for source, found in zip(intake.sources, digests, strict=True)]
    sheet = datasheet(snapshot, told, spec=spec, sources=sources, shares=_asked_and_reached(spec, dealt))
    more = {"contradictions": _contradictions(index), "mix": mixed, "yields": line.yields, **facts, **tasks}
    more |= {"planted": {"secrets": len(told.planted), "rows": told.planted.total()}} if told.planted else {}
    write_datasheet(context.out, sheet | more)
    tell("note", NAME, f"{snapshot.kept:,} of {snapshot.rows_in:,} rows kept: {_told(snapshot.splits)}")
    return snapshot


def _counted(tallies: tuple[Tally, ...], index: Index) -> Snapshot:
    lost = Counter[str]()
    for tally in tallies:
        lost.update(tally.dropped)
        lost.update(tally.merged)
    splits = {split: int(index.of_split(split).sum()) for split in (*SPLITS, GENERAL)}
    groups = index.rows["group"][index.kept]
    return Snapshot(
        rows_in=tallies[0].rows_in,
        made=sum(tally.made for tally in tallies),
        kept=tallies[-1].kept,
        dropped=dict(sorted(lost.items())),
        splits={split: rows for split, rows in splits.items() if split != GENERAL or rows},
        groups=len(np.unique(groups[groups != 0])) + int((groups == 0).sum()),
        changed={tally.step: tally.changed for tally in sorted(tallies, key=lambda t: t.step) if tally.changed},
        tallies=tallies,
    )


def _trained(index: Index, labels: tuple[str, ...]) -> set[str]:
    """Labels that stand in the training split."""
    found = set(index.rows["label"][index.of_split("train")].tolist())
    return {label for label in labels if hash_of(label) in found}


def _contradictions(index: Index) -> int:
    """Questions that were given more than one target."""
    rows = index.rows[index.kept & (index.rows["target"] != 0)]
    pairs = np.unique(np.stack([rows["asked"], rows["target"]], axis=1), axis=0)
    return int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum())


def _asked_and_reached(spec: DataSpec, dealt: dict[Split, int]) -> dict[str, Any]:
    """Per split the wanted share (None: sources came split) and the one that whole groups allowed, before any cap.

    Shares are of the domain's rows: general ones are not counted.
    """
    shares = spec.split.model_dump()
    ready_made = all(use.settings.get("split") for use in spec.sources)
    rows = max(1, sum(dealt.values()))
    asked = {split: None if ready_made else round(shares[split] / sum(shares.values()), 4) for split in SPLITS}
    return {split: {"asked": asked[split], "reached": round(dealt[split] / rows, 4)} for split in SPLITS}


def _own_problems(shelf: Shelf, use: Use, root: Path, where: str) -> list[Problem]:
    """What is wrong with a component's settings, and what it finds itself, if it has a `check`."""
    try:
        built = shelf.build(use, where=where)
    except UserError as error:
        return list(error.problems)
    found: list[Problem] = built.check(root) if hasattr(built, "check") else []
    return [dataclasses.replace(p, path=f"{where}.{p.path}") if p.path in use.settings else p for p in found]


def _digests(use: Use, root: Path, where: str) -> dict[str, str]:
    source: Any = SOURCES.build(use, where=where)
    if hasattr(source, "digests"):
        found: dict[str, str] = source.digests(root)
        return found
    files = _files(source, root)
    shown = str(use.settings.get("path", use.use))
    if len(files) == 1:
        return {shown: digest_file(files[0])}
    folder = os.path.commonpath([f.parent for f in files]) if files else ""
    return {plain_name(f"{shown}/{f.relative_to(folder).as_posix()}"): digest_file(f) for f in files}


def _judged(spec: DataSpec) -> Leaks:
    """What new rows are held to: rewordings of held-out rows too, where the limits judge by them."""
    judged = spec.limits.reworded_leak < 1
    return spec.leaks if judged else spec.leaks.model_copy(update={"reworded": None, "meaning": None})


def _files(source: Any, root: Path) -> list[Path]:
    return list(source.files(root)) if hasattr(source, "files") else []


def _agreements(spec: DataSpec, root: Path) -> list[Reason]:
    """How far annotators agreed, for each source file that came from a labelling queue."""
    files = [file for use in spec.sources for file in _files(SOURCES.build(use), root)]
    reasons = [file_reason(file, least=spec.limits.agreement) for file in files]
    return [reason for reason in reasons if reason is not None]


def _tasks(line: Line, spec: DataSpec, context: Context) -> tuple[dict[str, Any], list[Reason]]:
    """Which tasks the training rows are, for the datasheet and for G1; the picture is written beside the snapshot."""
    if not spec.tasks.tag and not spec.tasks.must:
        return {}, []
    from tunesmith.data.tasks.tagging import tag_rows

    rows = int((line.index.of_split("train") & ~line.index.planted).sum())
    found, reason = tag_rows(Training(line), spec.tasks, of=rows, out=context.out, events=context.events)
    return {"tasks": found.model_dump()}, [reason]


def _facts(line: Line, spec: DataSpec, context: Context) -> dict[str, Any]:
    """What extractors found in the training rows, for the datasheet; the graph is written beside the snapshot."""
    if not spec.extract:
        return {}
    from tunesmith.data.knowledge.extraction import extracted

    return {"facts": extracted(Training(line), spec.extract, spec.facts, context=context)}


def _secrets(spec: DataSpec) -> dict[str, str]:
    cleaners: list[Any] = [CLEANERS.build(use, where=f"data.clean[{i}]") for i, use in enumerate(spec.clean)]
    return {
        name: mark for cleaner in cleaners if hasattr(cleaner, "outside") for name, mark in cleaner.outside().items()
    }


def _told(splits: dict[str, int]) -> str:
    return ", ".join(f"{split} {rows:,}" for split, rows in splits.items())
