"""Maintenance: the state of a milling machine in, whether it is about to fail out; manuals and fault codes beside."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem, UserError, did_you_mean
from tunesmith.core.events import Events
from tunesmith.project.recipes._write import write_project, write_table

MACHINES = "TUNESMITH_MACHINES"
"""Environment variable with the path of the machines' records: the data set's own CSV file, comma or tab."""
FAULT_CODES = "TUNESMITH_FAULT_CODES"
"""Set to 1: the trouble codes of the package obd (GPL-2.0) are read too; they stay in the project's own folder."""

COLUMNS = {
    "type": "Type",
    "air": "Air temperature [K]",
    "process": "Process temperature [K]",
    "speed": "Rotational speed [rpm]",
    "torque": "Torque [Nm]",
    "wear": "Tool wear [min]",
    "failed": "Machine failure",
}
"""Our column name -> the data set's (AI4I 2020, UCI, CC BY 4.0)."""
QUALITY = {"L": "low", "M": "medium", "H": "high"}
MODES = {
    "TWF": "tool wear failure",
    "HDF": "heat dissipation failure",
    "PWF": "power failure",
    "OSF": "overstrain failure",
    "RNF": "random failure",
}
_HEALTHY_PER_FAILURE = 3
"""So many healthy records stay for each failure, drawn evenly: of the original 97 % are healthy."""

_FAILURES_PER_REPORT = 4
"""Of so many failures one is told as a report and not asked about, so that no report answers a held-out question."""


def manufacturing_maintenance(folder: Path, name: str, events: Events, sabotage: bool = False) -> None:
    """Judges the state of a machine as healthy or failing, from records of yours (AI4I 2020 has the columns)."""
    if sabotage:
        hint = "tunesmith demo medical-coding --sabotage"
        raise UserError(Problem("no-sabotage", "this recipe has no spoiled version", hint, "--sabotage"))
    records = list(_thinned(_machines()))
    told = [row for row in records if row["mode"]][::_FAILURES_PER_REPORT]
    rows = [row for row in records if not any(row is one for one in told)]
    events.tell("note", "recipe", f"{len(rows)} machine records, {len(told)} reports of failures")
    columns = [*rows[0]]
    write_table(folder / "data" / "machines.csv", columns, ([row[c] for c in columns] for row in rows))
    write_table(folder / "data" / "reports.csv", ("report",), ((_report(row),) for row in told))
    codes = os.environ.get(FAULT_CODES) == "1"
    if codes:
        write_table(folder / "data" / "fault_codes.csv", ("text",), _fault_codes())

    def change(project: Any) -> None:
        project["name"] = name
        if not codes:
            sources = project["data"]["sources"]
            del sources[len(sources) - 1]

    write_project(folder, "manufacturing_maintenance", change)


def _machines() -> list[dict[str, str]]:
    """The user's records.

    Raises:
        UserError: no path is given, there is no such file, or it lacks columns.
    """
    given = os.environ.get(MACHINES, "")
    hint = (
        f"{MACHINES}=PATH tunesmith new NAME --recipe manufacturing-maintenance; the data set AI4I 2020 (UCI) has them"
    )
    if not given or not Path(given).is_file():
        message = f"'{given}' is no file" if given else "this recipe reads machine records of yours, and none are named"
        raise UserError(Problem("needs-data", message, hint, MACHINES, value=given))
    with Path(given).open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        rows = list(csv.DictReader(file, delimiter="\t" if "\t" in head else ","))
    known = [*(rows[0] if rows else [])]
    problems = [
        Problem("missing-column", f"there is no column '{column}'", did_you_mean(column, known), given, value=column)
        for column in (*COLUMNS.values(), *MODES)
        if column not in known
    ]
    if problems:
        raise UserError(problems)
    return rows


def _thinned(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Every failure, and of the healthy records every so manieth: the same ones each time."""
    failed = sum(row[COLUMNS["failed"]] == "1" for row in rows)
    every = max(1, (len(rows) - failed) // max(1, _HEALTHY_PER_FAILURE * failed))
    healthy = 0
    for row in rows:
        if row[COLUMNS["failed"]] == "1":
            yield _row(row)
        else:
            healthy += 1
            if healthy % every == 0:
                yield _row(row)


def _row(original: dict[str, str]) -> dict[str, str]:
    row = {ours: original[theirs] for ours, theirs in COLUMNS.items()}
    row["quality"] = QUALITY.get(row.pop("type"), original[COLUMNS["type"]])
    row["difference"] = f"{float(row['process']) - float(row['air']):.1f}"
    row["power"] = f"{float(row['torque']) * float(row['speed']) * 0.10472:.0f}"  # W = Nm x rad/s
    row["mode"] = "; ".join(name for column, name in MODES.items() if original[column] == "1")
    row["state"] = "failing" if row.pop("failed") == "1" else "healthy"
    return row


def _report(row: dict[str, str]) -> str:
    """What a technician would note of a failure: text that facts are read out of."""
    fault = row["mode"].partition(";")[0]
    seen = f"Torque was {row['torque']} Nm at {row['speed']} rpm, tool wear {row['wear']} min."
    return f"The milling machine showed {fault}. {seen} {_ACTIONS[fault]}"


_ACTIONS = {
    "tool wear failure": "Tool wear failure is remedied by replacement of the tool.",
    "heat dissipation failure": "Heat dissipation failure is remedied by cleaning of the cooling circuit.",
    "power failure": "Power failure is remedied by adjustment of torque and speed.",
    "overstrain failure": "Overstrain failure is remedied by reduction of the load.",
    "random failure": "Random failure is remedied by inspection of the machine.",
}
"""Fault -> what is done; ours, after the data set's own description of when each one occurs."""


def _fault_codes() -> Iterator[tuple[str]]:
    """Each trouble code of the package obd as a sentence.

    Raises:
        MissingLibrary: the package is not installed.
    """
    try:
        from obd.codes import DTC
    except ModuleNotFoundError:
        hint = "pip install obd (GPL-2.0), or leave out the fault codes"
        raise MissingLibrary(Problem("needs-library", f"{FAULT_CODES} needs the library 'obd'", hint)) from None
    for code, meaning in sorted(DTC.items()):
        yield (f"Trouble code {code} means: {meaning}.",)
