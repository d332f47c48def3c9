"""The command `report`: where the last report is, and the same as PDF; what stands in the way is told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import UserError
from tunesmith.evaluate.report.pdf import VARIABLE

PRINTER = """#!/bin/sh
for word in "$@"; do
  case "$word" in
    --print-to-pdf=*) printf '%%PDF-1.7 of ' > "${word#--print-to-pdf=}"; file="${word#--print-to-pdf=}";;
    file://*) printf '%s' "$word" >> "$file";;
  esac
done
"""


def test_the_report_of_the_last_run_is_printed(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that only writes down what it was asked to print: the run's own page, in the language asked for."""
    browser = tmp_path / "browser"
    browser.write_text(PRINTER, encoding="utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv(VARIABLE, str(browser))
    monkeypatch.chdir(tmp_path)
    told = Workshop().report(finished, pdf=Path("report.pdf"), language="en")
    assert told["pdf"] == "report.pdf" and Path(told["report"]).is_relative_to(finished)
    assert (tmp_path / "report.pdf").read_text(encoding="utf-8").endswith("report.html#lang=en&theme=light")
    assert Workshop().report(finished) == {"report": told["report"], "pdf": None}


def test_a_project_without_a_report_is_told(project: Path) -> None:
    with pytest.raises(UserError, match="not-run"):
        Workshop().report(project)
