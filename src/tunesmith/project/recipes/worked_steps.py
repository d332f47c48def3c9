"""Word problems of four trades in two to six steps: what chains of thought are worth, on rows that can be checked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.project.recipes._write import write_project
from tunesmith.reason.suites import Exercise, Part, suite

ROWS: dict[Part, int] = {"train": 6000, "valid": 240, "test": 480}
SYSTEM = "Work out the answer. Give it as a whole number."


def worked_steps(folder: Path, name: str, events: Events, sabotage: bool = False) -> None:
    """Solves word problems of medicine, finance, maintenance and logistics in two to six steps; makes its own rows."""
    if sabotage:
        hint = "tunesmith demo medical-coding --sabotage"
        raise UserError(Problem("no-sabotage", "this recipe has no spoiled version", hint, "--sabotage"))
    for part, rows in ROWS.items():
        made = suite(part, rows)
        _write(folder / "data" / f"{part}.jsonl", made, chains=True)
        if part == "train":
            _write(folder / "data" / "train_direct.jsonl", made, chains=False)
    events.tell("note", "recipe", f"{sum(ROWS.values())} exercises; no wording of the test stands in training")
    write_project(folder, "worked_steps", lambda project: project.update(name=name))


def _write(path: Path, exercises: Iterable[Exercise], *, chains: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_row(exercise, chains=chains)) + "\n" for exercise in exercises]
    path.write_text("".join(lines), encoding="utf-8")


def _row(exercise: Exercise, *, chains: bool) -> dict[str, Any]:
    """A conversation with the solution as reasoning, or without it."""
    said: dict[str, Any] = {"role": "assistant", "content": exercise.answer}
    if chains:
        said["reasoning_content"] = exercise.solution
    return {
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": exercise.question},
            said,
        ],
        "target": exercise.answer,
        "family": exercise.family,
        "template": exercise.template,
        "steps": str(exercise.steps),
    }
