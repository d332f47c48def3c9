"""The report of one run of the line: the evaluation's page, with the gates that the project file lowered.

Which gates are lowered is not known to the evaluation and may change without running it again, so the page is
completed here, at the end of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from tunesmith.core.files import write_text
from tunesmith.core.types import GateVerdict

MARK = "<!-- tunesmith: lowered gates -->"
"""Where the evaluation's page leaves room."""


def complete(page: Path, home: Path, session: str, verdicts: Sequence[GateVerdict]) -> Path:
    """The report of a run: `page` itself, or a copy that names the lowered gates where there are any.

    Args:
        page: the evaluation's `report.html`.
        home: where the copy is kept, under `reports/`.
        session: id of the run of the line.
        verdicts: its verdicts, lowering applied.
    """
    lowered = [v for v in verdicts if v.lowered and v.verdict != "passed"]
    if not lowered:
        return page
    lines = "".join(
        f"<li><b>{escape(v.gate)}</b> {escape(v.verdict)} \u2192 {escape(v.lowered or '')}</li>" for v in lowered
    )
    heading = "Lowered to warnings / 已降级为警告"
    box = f'<section class="verdict unknown"><h2>{heading}</h2><ul>{lines}</ul></section>'
    target = place(home, session)
    write_text(target, page.read_text(encoding="utf-8").replace(MARK, box, 1))
    return target


def place(home: Path, session: str) -> Path:
    """Where the completed report of a run lies, if there is one."""
    return home / "reports" / f"{session}.html"
