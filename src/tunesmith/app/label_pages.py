"""Labelling on a terminal: results as tables. Every function takes the console and a JSON result."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tunesmith.app.pages import number


def plain(console: Console, result: Any) -> None:
    """A mapping, one line for each key."""
    for name, value in result.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)


def row(console: Console, result: dict[str, Any] | None) -> None:
    """One row to label."""
    if result is None:
        console.print("nothing is left for you in this round")
        return
    console.print(f"[dim]{escape(result['row'])}, {result['left']:,} left[/]", highlight=False)
    if result["question"]:
        console.print(result["question"], style="bold", markup=False)
    console.print(result["text"], markup=False, highlight=False)


def status(console: Console, result: dict[str, Any]) -> None:
    """How far a queue is."""
    console.print(f"[bold]{escape(result['queue'])}[/]: {result['rows']:,} rows, you are {result['you']}")
    people = ", ".join(f"{count} {role}s" for role, count in result["members"].items())
    console.print(f"  {people}; {result['experts']} answers a row; labels: {escape(', '.join(result['labels']))}")
    if result["round"] is None:
        console.print(f"  no round is open, {result['rounds_closed']} closed")
    else:
        done, of = result["rows_finished"], result["rows_in_round"]
        console.print(f"  round {result['round']}: {done:,} of {of:,} rows finished")
    if result["left_for_you"] or result["answered_by_you"]:
        console.print(f"  you: {result['answered_by_you']:,} answered, {result['left_for_you']:,} left")
    console.print(f"  {result['disputed']:,} rows disputed, {result['review']:,} to review")
    for reason, count in result.get("left_out", {}).items():
        console.print(f"  left out: {count:,} {escape(reason)}")
    if result.get("copies"):
        console.print(f"  left out: {result['copies']:,} rows that say the same as another")


def agreement(console: Console, result: dict[str, Any]) -> None:
    """Alpha and the kappas."""
    table = Table("who", "coefficient", "value", "95 % interval", "rows", title=escape(result["queue"]))
    table.add_row("everybody", f"alpha, {result['scale']}", *_figures(result["alpha"]))
    for pair in result["kappas"]:
        table.add_row(f"{pair['first']} and {pair['second']}", "kappa", *_figures(pair["estimate"]))
    console.print(table)
    console.print(escape(result["told"]), highlight=False)


def _figures(estimate: dict[str, Any]) -> tuple[str, str, str]:
    low, high = estimate["low"], estimate["high"]
    interval = "-" if low is None else f"{number(low)} - {number(high)}"
    return number(estimate["value"]), interval, f"{estimate['rows']:,}"


def rules(console: Console, result: dict[str, Any]) -> None:
    """What each function did, and what they come to together."""
    table = Table("function", "labels", "coverage", "overlap", "conflict", "accuracy", "failures")
    for each in result["functions"]:
        shares = [number(each[key]) for key in ("coverage", "overlap", "conflict", "accuracy")]
        failed = "; ".join(f"{what} ({count})" for what, count in each["failures"].items())
        failed += " - stopped" * each["stopped"]
        table.add_row(escape(each["name"]), escape(", ".join(each["labels"])), *shares, escape(failed))
    console.print(table)
    judged = f", {number(result['accuracy'])} right of {result['gold']:,} labelled by people" if result["gold"] else ""
    console.print(
        f"{result['model']}: {result['covered']:,} of {result['rows']:,} rows have a label, "
        f"{result['sure']:,} at {result['threshold']:g} or above{judged}",
        highlight=False,
    )
    trusted = result["trust"]["trusted"]
    console.print(escape(result["trust"]["told"]), style="green" if trusted else "yellow", highlight=False)
    kept = "kept; every row still goes to people" if not trusted else "kept"
    console.print(kept if result["saved"] else "not kept: add --save to keep them")


def errors(console: Console, result: dict[str, Any]) -> None:
    """Labels that look wrong."""
    table = Table("rank", "row", "label", "suggested", "probability of the label")
    for each in result["flagged"]:
        values = (each["row"], each["label"], each["suggested"])
        table.add_row(str(each["rank"]), *(escape(value) for value in values), number(each["score"]))
    console.print(table)
    flagged = len(result["flagged"])
    console.print(f"{flagged:,} of {result['looked_at']:,} labels are flagged for review by {escape(result['model'])}")


def consistency(console: Console, result: dict[str, Any]) -> None:
    """Where a model and people differ."""
    table = Table("rank", "row", "people", "model", "confidence")
    for each in result["differing"]:
        values = (each["row"], each["label"], each["suggested"])
        table.add_row(str(each["rank"]), *(escape(value) for value in values), number(each["score"]))
    console.print(table)
    console.print(
        f"{escape(result['model'])}: {result['agreeing']:,} of {result['compared']:,} labels are those of people, "
        f"{result['without_prediction']:,} rows without an answer, {result['unreadable']:,} answers that are no label"
    )


def review(console: Console, result: list[dict[str, Any]]) -> None:
    """The rows to look at again."""
    table = Table("row", "why", "label", "suggested", "by")
    for each in result:
        for reason in each["reasons"]:
            values = (each["row"], reason["why"], reason["label"], reason["suggested"], reason["model"])
            table.add_row(*(escape(value) for value in values))
    console.print(table)
