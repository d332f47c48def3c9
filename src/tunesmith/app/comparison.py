"""Two reports side by side on a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tunesmith.app.pages import number
from tunesmith.app.words import say
from tunesmith.core.figures import figure


def comparison(console: Console, result: dict[str, Any]) -> None:
    """The paired comparison by each scorer, the measures of both, the rows that got worse."""
    first, second = result["sides"]
    rows = result["rows"]
    console.print(f"{escape(first['name'])} -> {escape(second['name'])}: {rows['both']} {say('rows answered by both')}")
    table = _table(say("the same rows, second minus first"), "scorer")
    for heading in ("first", "second", "difference", "p adjusted", "better", "worse", "rows"):
        table.add_column(say(heading), justify="right", no_wrap=heading == "difference")
    for line in result["scores"]:
        counts = [str(line[key]) for key in ("better", "worse", "n")]
        sides = [number(line["first"]), number(line["second"])]
        table.add_row(escape(line["scorer"]), *sides, _difference(line), f"{line['p_adjusted']:.4f}", *counts)
    console.print(table)
    both = _table(say("measures, each over its own rows"), "measure")
    for heading in ("first", "second"):
        both.add_column(say(heading), justify="right")
    for line in result["measures"]:
        values = [line[side] for side in ("first", "second")]
        if any(side and side["value"] is not None for side in values):
            both.add_row(escape(line["name"]), *(_measured(side, line["unit"]) for side in values))
    console.print(both)
    for line in result["changed"]["worse"][:5]:
        told = f"{line['place']}: {line['first']!r} -> {line['second']!r} ({line['reference']!r})"
        console.print(f"[red]{say('worse')}[/] {escape(told)}")
    for note in result["notes"]:
        console.print(f"[dim]{say('note')}: {escape(note)}[/]")


def _table(title: str, key: str) -> Table:
    """A table that fits 80 columns: no lines between the columns."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(say(key))
    return table


def _difference(line: dict[str, Any]) -> str:
    """The difference, its interval below."""
    value = f"{line['value']:+.3f}"
    return value if line["low"] is None else f"{value}\n{line['low']:+.3f} … {line['high']:+.3f}"


def _measured(side: dict[str, Any] | None, unit: str) -> str:
    if side is None or side["value"] is None:
        return "-"
    value = figure(side["value"], unit)
    if side["low"] is None or side["high"] is None:
        return value
    low, high = (figure(side[end], unit).partition(" ")[0] for end in ("low", "high"))
    return f"{value} ({low} … {high})"
