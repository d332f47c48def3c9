"""The report as PDF: its own page, printed without a window by a browser that is on this machine.

The same content in the same order, verdict first. Plots are drawn by the page's own script and stand in the file as
lines and letters, not as pictures. Nothing is fetched: the page forbids it, and the browser is told to find no host.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.files import make_folder
from tunesmith.evaluate.programs import SAID, started

Language = Literal["en", "zh"]

VARIABLE = "TUNESMITH_BROWSER"
"""Environment variable that names the browser, where it is none of those that are looked for."""

_COMMANDS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=760,1100",
    "--virtual-time-budget=30000",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
_STYLE = """
@page { size: A4; margin: 14mm 12mm 16mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #5b6675; } }
html, body { background: #fff; -webkit-print-color-adjust: exact; }
main { width: 700px; max-width: none; margin: 0; padding: 0; }
header button, .bar { display: none; }
section { break-inside: auto; border-radius: 0; border-width: 0 0 1px; padding: 12px 0; margin-top: 8px; }
.verdict { border-left-width: 6px; padding-left: 14px; }
h2, h3, thead, summary { break-after: avoid; } tr, [data-figure], li { break-inside: avoid; }
.scroll, .tall { overflow: visible; max-height: none; }
table { font-size: 10px; } th { position: static; font-size: 9.5px; } th, td { padding: 4px 7px 4px 0; }
td.figure, th.figure { padding-left: 3px; } td, th { overflow-wrap: break-word; } .small, .badge { font-size: 9.5px; }
td.text { max-width: 170px; overflow-wrap: anywhere; } td.soft { min-width: 110px; }
.whole { white-space: normal; word-break: keep-all; }
pre { font-size: 7px; line-height: 1.25; columns: 3; margin-bottom: 4px; } summary { list-style: none; font-size: 9px; }
.pair { grid-template-columns: 1fr 1fr; }
"""
"""What differs on paper: the width of the page, no buttons, nothing that scrolls or is folded away."""


def write_pdf(page: Path, to: Path, *, language: Language | None = None, seconds: float = 180.0) -> None:
    """Print a report's page to the file `to`, which is replaced in one step if it is there.

    Args:
        page: `report.html`, see `page.write_report`.
        to: the PDF file to make.
        language: what it is printed in; None: the report's own language.
        seconds: longest time that the browser may take.

    Raises:
        UserError: there is no browser, no Chinese font for a Chinese report, `to` is a folder, or nothing was printed.
    """
    if to.is_dir():
        raise UserError(Problem("not-a-file", f"'{to}' is a folder", "name a file: report.pdf", str(to)))
    text = page.read_text(encoding="utf-8")
    spoken = language or _language_of(text)
    problems = [*_no_font(spoken), *([] if found_browser() else [_no_browser()])]
    if problems:
        raise UserError(problems)
    to = to.absolute()
    make_folder(to.parent)
    with tempfile.TemporaryDirectory(prefix="tunesmith-pdf-", dir=to.parent) as folder:
        work = Path(folder)
        (work / "report.html").write_text(on_paper(text), encoding="utf-8")
        said = _printed(str(found_browser()), work, spoken, seconds)
        made = work / "report.pdf"
        if not made.is_file() or not made.read_bytes().startswith(b"%PDF"):
            hint = f"open {page} in a browser and print it there, or name another browser in {VARIABLE}"
            raise UserError(Problem("no-pdf", f"the browser printed nothing: {said}", hint, str(to)))
        made.replace(to)


def found_browser() -> str | None:
    """The browser that prints: the one that `TUNESMITH_BROWSER` names, else the first Chromium, Chrome or Edge."""
    if wished := os.environ.get(VARIABLE):
        return shutil.which(wished)
    return next((place for name in (*_COMMANDS, *_PLACES) if (place := shutil.which(name))), None)


def on_paper(text: str) -> str:
    """The page as it is printed: in the paper's style, and with nothing folded away."""
    head, mark, rest = text.partition("</head>")
    body, script, code = rest.partition("<script")
    return f"{head}<style>{_STYLE}</style>{mark}{body.replace('<details>', '<details open>')}{script}{code}"


def _language_of(text: str) -> Language:
    return "zh" if re.search(r'<html lang="zh', text[:5000]) else "en"


def _printed(browser: str, work: Path, language: Language, seconds: float) -> str:
    """Let the browser print `report.html` to `report.pdf`, both in `work`; returns the last that it said."""
    words = [browser, *_OPTIONS, f"--user-data-dir={work / 'profile'}", f"--print-to-pdf={work / 'report.pdf'}"]
    if sys.platform != "win32" and os.geteuid() == 0:
        words.append("--no-sandbox")  # as root it refuses to start with one; the page is ours and fetches nothing
    words.append(f"{(work / 'report.html').absolute().as_uri()}#lang={language}&theme=light")
    with started(words, folder=work, env=os.environ) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"it was not done after {seconds:g} seconds"
    lines = (work / SAID).read_text("utf-8", "replace").strip().splitlines()
    return shorten(lines[-1], width=200) if lines else f"exit code {process.returncode}"


def _no_browser() -> Problem:
    wished = os.environ.get(VARIABLE)
    found = (
        f"the browser '{wished}' that {VARIABLE} names is not there" if wished else "no browser was found to print with"
    )
    hint = (
        f"install Chromium, Chrome or Edge, or name one: {VARIABLE}=/usr/bin/chromium; report.html needs none of this"
    )
    return Problem("needs-browser", found, hint, "--pdf")


def _no_font(language: Language) -> list[Problem]:
    """A problem where fontconfig knows no Chinese font: the browser would print empty boxes and say nothing."""
    lister = shutil.which("fc-list")
    if language != "zh" or lister is None:
        return []
    known = subprocess.run([lister, ":lang=zh-cn", "family"], capture_output=True, timeout=30, check=False).stdout
    if known.strip():
        return []
    hint = "install one, e.g. the package fonts-noto-cjk, or print in English: --language en"
    return [Problem("needs-font", "this machine has no font with Chinese characters", hint, "--pdf")]
