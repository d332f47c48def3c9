"""Two reports side by side on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tunesmith.app.pages import number
from tunesmith.app.words import say


def comparison(console: Console, result: dict[str, Any]) -> None:
    """The paired comparison by each scorer, the measures of both, the rows that got worse."""
    first, second = result["sides"]
    rows = result["rows"]
    console.print(f"{escape(first['name'])} -> {escape(second['name'])}: {rows['both']} {say('rows answered by both')}")
    table = Table(title=say("the same rows, second minus first"))
    for heading in (
        "scorer",
        "first",
        "second",
        "difference",
        "95 % interval",
        "p adjusted",
        "better",
        "worse",
        "rows",
    ):
        table.add_column(say(heading), justify="left" if heading == "scorer" else "right")
    for line in result["scores"]:
        interval = "-" if line["low"] is None else f"{line['low']:+.3f} … {line['high']:+.3f}"
        figures = [number(line["first"]), number(line["second"]), f"{line['value']:+.3f}", interval]
        counts = [str(line[key]) for key in ("better", "worse", "n")]
        table.add_row(escape(line["scorer"]), *figures, f"{line['p_adjusted']:.4f}", *counts)
    console.print(table)
    both = Table(title=say("measures, each over its own rows"))
    for heading in ("measure", "first", "second"):
        both.add_column(say(heading), justify="left" if heading == "measure" else "right")
    for line in result["measures"]:
        sides = [number(line[side]["value"]) if line[side] else "-" for side in ("first", "second")]
        both.add_row(escape(line["name"]), *sides)
    console.print(both)
    for line in result["changed"]["worse"][:5]:
        told = f"{line['place']}: {line['first']!r} -> {line['second']!r} ({line['reference']!r})"
        console.print(f"[red]{say('worse')}[/] {escape(told)}")
    for note in result["notes"]:
        console.print(f"[dim]{say('note')}: {escape(note)}[/]")
