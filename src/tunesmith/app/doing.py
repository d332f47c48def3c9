"""What every command does: one thing with a workshop, told while it happens, printed for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tunesmith.app.terminal import listening
from tunesmith.app.workshop import Workshop
from tunesmith.core.events import Events

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ProjectPath = Annotated[Path, typer.Argument(help="Project folder or file.", show_default="here")]
HERE = Path()


def do(work: Callable[[Workshop], Any], *, as_json: bool, show: Callable[[Console, Any], None]) -> Any:
    """Do one thing with a workshop, tell what happens, and print the result for people or programs."""
    with listening(as_json=as_json) as sink:
        result = work(Workshop(Events(sink)))
    if as_json:
        print(json.dumps(result, ensure_ascii=False, indent=2, default=str))
    else:
        show(Console(), result)
    return result
