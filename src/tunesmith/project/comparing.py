"""Two reports side by side: which report a name means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import Report
from tunesmith.evaluate.comparing import Told, compare
from tunesmith.project.file import FILE_NAME, load
from tunesmith.project.show import last_made
from tunesmith.records.manifest import MANIFEST
from tunesmith.records.store import RunStore

_STAGE = "evaluate"


def compare_reports(first: str, second: str, *, project: Path) -> dict[str, Any]:
    """What differs between two reports, second minus first, see `evaluate.comparing.compare`.

    Args:
        first: a project (its last report), the folder of a run of the stage `evaluate`, or the id of such a run.
        second: the same.
        project: the project whose runs ids are looked for in.

    Raises:
        UserError: one of the names is none of these; both are told at once.
    """
    sides: list[Told] = []
    problems: list[Problem] = []
    for name in (first, second):
        try:
            folder = _folder(name, project)
            sides.append(Told.read(folder, name=folder.name if Path(name).is_absolute() else name))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return compare(sides[0], sides[1])


def _folder(name: str, project: Path) -> Path:
    path = Path(name)
    if (path / MANIFEST).is_file():
        return path
    if (path / FILE_NAME).is_file() or path.name == FILE_NAME:
        opened = load(path)
        report: Report = last_made(opened, _store(opened.home), _STAGE)
        return report.file("report.json").parent
    store = _store(load(project).home)
    known = {record.run for record in store.runs() if record.stage == _STAGE}
    found = store.find(name) if name in known else None
    if not isinstance(found, Report):
        message = f"'{name}' is no project, no folder of a report and no run of the stage evaluate"
        raise UserError(Problem("no-report", message, did_you_mean(name, known), value=name))
    return found.file("report.json").parent


def _store(home: Path) -> RunStore:
    return RunStore(home, url=os.environ.get("TUNESMITH_RECORDS_URL"))
