"""What differs between two snapshots, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from tunesmith.core.errors import shorten

_KINDS = {
    "added": "added",
    "removed": "removed",
    "moved": "in another split",
    "relabelled": "with another answer",
}


def difference(console: Console, result: Mapping[str, Any]) -> None:
    """Rows, the first of each kind with their places, then counts, leaks and settings that differ."""
    for side in ("old", "new"):
        one = result[side]
        console.print(f"{side}: {escape(one['name'])} [dim]{one['id']}[/], {one['rows']:,} rows", highlight=False)
    if result["same"]:
        console.print("[bold]The same snapshot.[/]")
        return
    console.print(f"{result['rows']['unchanged']:,} rows are unchanged", highlight=False)
    for kind, words in _KINDS.items():
        if result["rows"][kind]:
            _rows(console, f"{result['rows'][kind]:,} rows {words}", result["shown"][kind], result["rows"][kind])
    for name, values in result["counts"].items():
        _pairs(console, f"rows by {name}" if name != "dropped" else "rows dropped", values)
    _pairs(console, "leaks", result["leakage"])
    _pairs(console, "settings", result["settings"])


def _rows(console: Console, title: str, shown: Sequence[Mapping[str, Any]], number: int) -> None:
    console.print(f"[bold]{title}[/]", highlight=False)
    for row in shown:
        what = row["split"] if "split" in row else f"{shorten(row['old'])} -> {shorten(row['new'])}"
        console.print(f"  {escape(str(row['place']))}: {escape(str(what))}", highlight=False, soft_wrap=True)
    if number > len(shown):
        console.print(f"  [dim]and {number - len(shown):,} more[/]", highlight=False)


def _pairs(console: Console, title: str, values: Mapping[str, Sequence[Any]]) -> None:
    if values:
        console.print(f"[bold]{title}[/]")
    for name, (old, new) in values.items():
        told = f"{_value(old)} -> {_value(new)}"
        console.print(f"  {escape(shorten(name))}: {escape(told)}", highlight=False, soft_wrap=True)


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else shorten(value, width=120)
