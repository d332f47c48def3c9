"""Whole projects as benchmarks run them: made from a recipe, changed, run by the command line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import _process
from bench._frame import Asked
from ruamel.yaml import YAML

PROGRAM = [sys.executable, "-m", "tunesmith.app.cli"]


def fast() -> bool:
    """Whether the processor multiplies bfloat16 itself: then trainings and answers here compute in it."""
    from tunesmith.models.hardware import look

    hardware = look()
    return not hardware.gpus and hardware.bf16 == "hardware"


def make(folder: Path, recipe: str, change: Callable[[Any], None]) -> None:
    """Write a recipe's project, changed, as `start.yaml`; what lies in the folder is removed."""
    from tunesmith.app.workshop import Workshop

    shutil.rmtree(folder, ignore_errors=True)
    Workshop().new(folder, recipe=recipe)
    round_trip = YAML(typ="rt", pure=True)
    project = round_trip.load((folder / "tunesmith.yaml").read_text(encoding="utf-8"))
    change(project)
    with (folder / "start.yaml").open("w", encoding="utf-8") as file:
        round_trip.dump(project, file)


def run(folder: Path, changes: dict[str, Any], asked: Asked, *, seed: int | None = None) -> dict[str, Any]:
    """Run the project that `make` wrote with some settings of its sections changed; what `show --json` tells of it.

    A gate that says no does not stop it. What was run before is only read. `seed`: of the run; None: the project's own.

    Raises:
        Failed: the run ended in an error.
    """
    round_trip = YAML(typ="rt", pure=True)
    project = round_trip.load((folder / "start.yaml").read_text(encoding="utf-8"))
    for section, settings in ({"model": {"use": str(asked.model)}} | changes).items():
        project.setdefault(section, {}).update(settings)
    if seed is not None:
        project["seed"] = seed
    with (folder / "tunesmith.yaml").open("w", encoding="utf-8") as file:
        round_trip.dump(project, file)
    environment = {"OMP_NUM_THREADS": str(asked.threads), "HF_HUB_OFFLINE": "1"}
    try:
        _process.run([*PROGRAM, "run", folder, "--keep-going"], log=folder / "log", environment=environment)
    except _process.Failed as error:
        if not str(error).startswith("exit code 3"):  # 3: a gate said no, which is what we want to hear
            raise
    _process.run([*PROGRAM, "show", folder, "--json"], log=folder / "shown.json", environment=environment)
    shown: dict[str, Any] = json.loads((folder / "shown.json").read_text(encoding="utf-8"))
    return shown
