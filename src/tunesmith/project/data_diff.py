"""Two snapshots side by side: which snapshot a name means, and what differs between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import Snapshot
from tunesmith.data.diff import Side, compare
from tunesmith.project.file import FILE_NAME, load
from tunesmith.project.show import last_made
from tunesmith.records.manifest import MANIFEST
from tunesmith.records.store import RunStore

_STAGE = "data"


def data_diff(old: str, new: str, *, project: Path, shown: int = 10) -> dict[str, Any]:
    """What differs between two snapshots, see `data.diff.compare`.

    Args:
        old: a project (its last snapshot), the folder of a snapshot, or the id of a run of the stage `data`.
        new: the same, for the later one.
        project: the project whose runs ids are looked for in.
        shown: rows of each kind that are told with their places.

    Raises:
        UserError: one of the names is none of these; both are told at once.
    """
    sides: list[Side] = []
    problems: list[Problem] = []
    for name in (old, new):
        try:
            sides.append(_side(name, project))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return compare(*sides, shown=shown)


def _side(name: str, project: Path) -> Side:
    path = Path(name)
    if (path / MANIFEST).is_file():
        folder = path.resolve()
        return _of_run(name, _store(folder.parents[2]), folder.name)
    if (path / FILE_NAME).is_file() or path.name == FILE_NAME:
        opened = load(path)
        store = _store(opened.home)
        return _of_run(name, store, last_made(opened, store, _STAGE).run)
    return _of_run(name, _store(load(project).home), name)


def _of_run(name: str, store: RunStore, run: str) -> Side:
    known = {record.run: record for record in store.runs() if record.stage == _STAGE}
    record = known.get(run)
    found = store.find(run) if record is not None else None
    if record is None or not isinstance(found, Snapshot):
        message = f"'{name}' is no project, no folder of a snapshot and no run of the stage data"
        raise UserError(Problem("no-snapshot", message, did_you_mean(run, known), value=name))
    return Side(name, found, record.spec)


def _store(home: Path) -> RunStore:
    return RunStore(home, url=os.environ.get("TUNESMITH_RECORDS_URL"))
