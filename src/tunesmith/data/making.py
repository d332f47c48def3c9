"""New rows out of training rows: each maker in turn, then a check that none is a copy or stands in held-out rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.protocols import Context, Maker
from tunesmith.core.spec import Use
from tunesmith.core.types import Drop, Example, Refusal, Tally
from tunesmith.data import leak
from tunesmith.data.index import CODES
from tunesmith.data.leak import HELD_OUT
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.line import Indexing, Line
from tunesmith.data.operations import AUGMENTERS, SYNTHESIZERS, named
from tunesmith.data.rows import Rows
from tunesmith.data.shards import Made, once
from tunesmith.data.spec import DataSpec
from tunesmith.data.synthesize._yield import told_yield

CHECK = "made"
"""Name of the operation that checks new rows."""


def makers(spec: DataSpec) -> dict[str, Maker]:
    """Name of the operation -> maker, in the order in which they work; each sees what those before it made.

    Raises:
        UserError: one of them cannot be built.
    """
    uses: list[tuple[str, Use]] = [*named("synthesize", spec.synthesize), *named("augment", spec.augment)]
    shelves = {"synthesize": SYNTHESIZERS, "augment": AUGMENTERS}
    return {step: shelves[step.partition(".")[0]].build(use) for step, use in uses}


@dataclass(frozen=True)
class Training:
    """The domain's training rows that are still there, in order, read from disk each time; planted ones left out."""

    line: Line

    def __iter__(self) -> Iterator[Example]:
        index = self.line.index
        there = index.of_split("train") & ~index.planted
        return (row.model_copy(update={"split": "train"}) for number, row in self.line.rows.each() if there[number])


def make_rows(line: Line, maker: Maker, step: str, *, folder: Path, context: Context) -> Rows:
    """Have one maker make its rows out of the training rows of a line; counted under `step`.

    Done once: a run that was killed goes on after the makers that had ended.

    Returns:
        The line's rows with the new ones, which lie in `folder`, behind them.
    """
    scratch = context.scratch / f"asked-{step}"
    scratch.mkdir(parents=True, exist_ok=True)
    own = replace(context, scratch=scratch)

    def work(out: Path) -> dict[str, Any]:
        dropped = Counter[str]()
        with Made(out, {}) as made:
            for item in maker.make(Training(line), own):
                if isinstance(item, Drop):
                    dropped[item.reason] += 1
                    made.drop(item.model_copy(update={"step": step}), None)
                else:
                    made.keep(_signed(item, step))
        told = told_yield(scratch) or {}
        told.pop("seconds", None)  # wall time: the snapshot is the same however long it took
        return {"pieces": made.pieces, "dropped": dict(sorted(dropped.items())), "yield": told}

    report = once(folder, work)
    before, rows, lost = int(line.index.kept.sum()), sum(report["pieces"]), sum(report["dropped"].values())
    tally = Tally(step=step, rows_in=before, made=rows + lost, kept=before + rows, dropped=report["dropped"])
    line.tallies.add([tally])
    if report["yield"]:
        line.yields[step] = report["yield"]
    return line.rows.more(folder, report["pieces"])


def _signed(example: Example, step: str) -> Example:
    """The row with the name of the operation that made it; what is made is trained on, never judged by."""
    attributes = {**example.attributes, "made_by": step}
    return example.model_copy(update={"attributes": attributes, "split": "train"})


def make_all(line: Line, makers: Mapping[str, Maker], indexing: Indexing, *, leaks: Leaks, context: Context) -> None:
    """Let every maker work, in turn, and take out what must not be trained on; nothing is done without makers."""
    first = line.rows.count
    for number, (step, maker) in enumerate(makers.items()):
        context.events.tell("note", "data", f"{step}: making rows")
        rows = make_rows(line, maker, step, folder=indexing.folder / f"made-{number:02d}", context=context)
        context.events.tell("note", "data", f"{step}: {rows.count - line.rows.count:,} rows made")
        line.grow(rows, indexing, context.executor)
    if makers:
        refuse_made(line, first, indexing.threshold, leaks)


def refuse_made(line: Line, first: int, threshold: float | None, leaks: Leaks) -> None:
    """Take out rows from number `first` on that say what another training row says, or ask what a held-out row asks.

    A row that is nearly its parent stays: that is what it was made for.

    Args:
        line: with the new rows behind the others.
        first: number of the first new row.
        threshold: Jaccard share from which on a question is near a held-out one; None: not looked for.
        leaks: as what else held-out questions are looked for.
    """
    index = line.index
    made = index.kept & (np.arange(len(index.rows)) >= first)
    held = index.kept & np.isin(index.rows["split"], [CODES[split] for split in HELD_OUT])
    near = None if threshold is None else index.near("asked", threshold, among=made | held)
    leaking = leak.leaking(index, made, near, leaks)
    places = line.rows.places({match.row for match in leaking.values()})
    refused: dict[int, Refusal] = {}
    said: set[tuple[int, int]] = set()
    for i in np.flatnonzero(index.of_split("train")).tolist():
        row = index.rows[i]
        says = (int(row["own"]), int(row["said"]))
        if i in leaking:
            detail = f"{leaking[i].kind}: {places[leaking[i].row]} ({leaking[i].score:.2f})"
            refused[i] = Refusal(reason="held-out-leak", detail=detail)
        elif made[i] and says in said:
            refused[i] = Refusal(reason="exact-duplicate", detail="another training row says the same", fate="merged")
        said.add(says)
    line.refuse(CHECK, refused)
