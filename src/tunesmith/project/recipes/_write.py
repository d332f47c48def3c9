"""What recipes share: tables as CSV, and the project file from the YAML beside the recipe."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as UTF-8 CSV with a header; the folder is made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_project(folder: Path, recipe: str, change: Callable[[Any], None]) -> None:
    """Write `tunesmith.yaml` from the recipe's YAML, comments kept, after `change` has filled it in.

    Args:
        folder: project folder.
        recipe: name of the YAML file beside the recipes, without suffix.
        change: alters the loaded mapping in place.
    """
    round_trip = YAML(typ="rt", pure=True)  # builds plain mappings only, never objects
    round_trip.width = 110
    round_trip.indent(mapping=2, sequence=4, offset=2)
    text = resources.files(__package__).joinpath(f"{recipe}.yaml").read_text(encoding="utf-8")
    project = round_trip.load(text)
    change(project)
    with (folder / "tunesmith.yaml").open("w", encoding="utf-8") as file:
        round_trip.dump(project, file)
