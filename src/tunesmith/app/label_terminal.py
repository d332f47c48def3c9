"""Labelling on a terminal, one row at a time: a key for each label, s to skip, u to undo, q to leave.

Each answer is in the records before the next row is shown, so Ctrl-C at any moment loses nothing that was said. Where
standard input is no terminal, or there are more than nine labels, an answer is a line: the number or the label itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from tunesmith.app import label_pages as pages
from tunesmith.app.words import say
from tunesmith.core.errors import UserError

_MOST_KEYS = 9
_END = "q"


def label_rows(desk: Any) -> None:
    """Ask until nothing is left, or the person leaves."""
    console = Console()
    while (row := desk.next()) is not None:
        console.rule()
        pages.row(console, row)
        key = _asked(console, row["labels"], {"s": "skip", "u": "undo", "q": "leave"})
        if key == _END:
            break
        _told(console, partial(_answered, console, desk, row, key))
    console.print(f"{desk.status()['answered_by_you']:,} {say('rows answered by you in this round')}")


def settle_rows(desk: Any) -> None:
    """Show every disputed row with what was said of it, and ask for a decision and its reason."""
    console = Console()
    rows = desk.disputes()
    for place, row in enumerate(rows):
        console.rule()
        pages.row(console, {**row, "left": len(rows) - place})
        for letter, said in row["said"].items():
            console.print(f"  {letter}: {said}", markup=False, highlight=False)
        key = _asked(console, row["labels"], {"s": "next row", "q": "leave"})
        if key == _END:
            break
        if key != "s":
            reason = _line(console, f"{say('reason')}: ")
            _told(console, partial(desk.decide, row["row"], key, reason))
    console.print(f"{len(desk.disputes()):,} {say('rows still disputed')}")


def _answered(console: Console, desk: Any, row: dict[str, Any], key: str) -> None:
    if key == "u":
        console.print(f"{say('taken back')}: {desk.undo()['row']}", markup=False)
    elif key == "s":
        desk.skip(row["row"], _line(console, f"{say('why')}: "))
    else:
        desk.label(row["row"], key)


def _told(console: Console, action: Callable[[], Any]) -> None:
    """Do it; what is wrong is told, and the row comes again or the next one does."""
    try:
        action()
    except UserError as error:
        for problem in error.problems:
            console.print(f"[yellow]{escape(str(problem))}[/]", highlight=False)


def _asked(console: Console, labels: Sequence[str], commands: dict[str, str]) -> str:
    """One of `labels`, or a key of `commands`; asked again until it is one."""
    keys = {str(n): label for n, label in enumerate(labels, start=1)}
    told = [f"[bold]{key}[/] {escape(what)}" for key, what in keys.items()]
    told += [f"[bold]{key}[/] {say(what)}" for key, what in commands.items()]
    console.print("  ".join(told), highlight=False)
    by_key = sys.stdin.isatty() and len(labels) <= _MOST_KEYS
    while True:
        said = typer.getchar() if by_key else _line(console, "> ", ends=_END)
        if said in keys:
            return keys[said]
        if said in commands or (said in labels and not by_key):
            return said
        if said in ("\x03", "\x04"):
            raise KeyboardInterrupt
        console.print(say("that is none of these"), style="yellow")


def _line(console: Console, prompt: str, *, ends: str = "") -> str:
    """One line of input; `ends` where there is no more."""
    try:
        return console.input(prompt).strip()
    except EOFError:
        return ends
