"""Labelling on a terminal: results as tables. Every function takes the console and a JSON result."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tunesmith.app.pages import number
from tunesmith.app.words import say


def plain(console: Console, result: Any) -> None:
    """A mapping, one line for each key."""
    for name, value in result.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)


def row(console: Console, result: dict[str, Any] | None) -> None:
    """One row to label."""
    if result is None:
        console.print(say("nothing is left for you in this round"))
        return
    console.print(f"[dim]{escape(result['row'])}, {say('left')}: {result['left']:,}[/]", highlight=False)
    if result["question"]:
        console.print(result["question"], style="bold", markup=False)
    console.print(result["text"], markup=False, highlight=False)


def status(console: Console, result: dict[str, Any]) -> None:
    """How far a queue is."""
    console.print(f"[bold]{escape(result['queue'])}[/]: {_counted(result['rows'], 'rows')}; {_role(result['you'])}")
    people = ", ".join(f"{say(role)} {count}" for role, count in result["members"].items())
    console.print(f"  {people}; {say('answers a row')}: {result['experts']}")
    console.print(f"  {say('labels')}: {escape(', '.join(result['labels']))}")
    if result["round"] is None:
        console.print(f"  {say('no round is open')}; {say('closed rounds')}: {result['rounds_closed']}")
    else:
        done, of = result["rows_finished"], result["rows_in_round"]
        console.print(f"  {say('round')} {result['round']}: {done:,} / {of:,} {say('rows finished')}")
    if result["left_for_you"] or result["answered_by_you"]:
        answered, left = result["answered_by_you"], result["left_for_you"]
        console.print(f"  {say('you')}: {say('answered')} {answered:,}, {say('left')} {left:,}")
    console.print(f"  {say('disputed')}: {result['disputed']:,}; {say('to review')}: {result['review']:,}")
    for reason, count in result.get("left_out", {}).items():
        console.print(f"  {say('left out')}: {count:,} {escape(reason)}")
    if result.get("copies"):
        console.print(f"  {say('left out')}: {_counted(result['copies'], 'rows that say the same as another')}")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {say(what)}"


def _role(role: str) -> str:
    return f"{say('you are')} {say(role)}"


def _table(*headings: str, title: str | None = None) -> Table:
    return Table(*map(say, headings), title=title)


def agreement(console: Console, result: dict[str, Any]) -> None:
    """Alpha and the kappas."""
    table = _table("who", "coefficient", "value", "95 % interval", "rows", title=escape(result["queue"]))
    table.add_row(say("everybody"), f"alpha, {result['scale']}", *_figures(result["alpha"]))
    for pair in result["kappas"]:
        table.add_row(escape(f"{pair['first']} - {pair['second']}"), "kappa", *_figures(pair["estimate"]))
    console.print(table)
    console.print(escape(result["told"]), highlight=False)


def _figures(estimate: dict[str, Any]) -> tuple[str, str, str]:
    low, high = estimate["low"], estimate["high"]
    interval = "-" if low is None else f"{number(low)} - {number(high)}"
    return number(estimate["value"]), interval, f"{estimate['rows']:,}"


def rules(console: Console, result: dict[str, Any]) -> None:
    """What each function did, and what they come to together."""
    table = _table("function", "labels", "coverage", "overlap", "conflict", "accuracy", "failures")
    for each in result["functions"]:
        shares = [number(each[key]) for key in ("coverage", "overlap", "conflict", "accuracy")]
        failed = "; ".join(f"{what} ({count})" for what, count in each["failures"].items())
        failed += f" - {say('stopped')}" * each["stopped"]
        table.add_row(escape(each["name"]), escape(", ".join(each["labels"])), *shares, escape(failed))
    console.print(table)
    told = [
        f"{result['model']}: {result['covered']:,} / {result['rows']:,} {say('rows have a label')}",
        f"{result['sure']:,} {say('of them at this probability or above')}: {result['threshold']:g}",
    ]
    if result["gold"]:
        told.append(f"{say('right of those labelled by people')}: {number(result['accuracy'])} ({result['gold']:,})")
    console.print("; ".join(told), highlight=False)
    trusted = result["trust"]["trusted"]
    console.print(escape(result["trust"]["told"]), style="green" if trusted else "yellow", highlight=False)
    kept = "kept" if trusted else "kept; every row still goes to people"
    console.print(say(kept if result["saved"] else "not kept: add --save to keep them"))


def errors(console: Console, result: dict[str, Any]) -> None:
    """Labels that look wrong."""
    table = _table("rank", "row", "label", "suggested", "probability of the label")
    for each in result["flagged"]:
        values = (each["row"], each["label"], each["suggested"])
        table.add_row(str(each["rank"]), *(escape(value) for value in values), number(each["score"]))
    console.print(table)
    flagged = len(result["flagged"])
    told = say("labels are flagged for review by")
    console.print(f"{flagged:,} / {result['looked_at']:,} {told} {escape(result['model'])}")


def consistency(console: Console, result: dict[str, Any]) -> None:
    """Where a model and people differ."""
    table = _table("rank", "row", "people", "model", "confidence")
    for each in result["differing"]:
        values = (each["row"], each["label"], each["suggested"])
        table.add_row(str(each["rank"]), *(escape(value) for value in values), number(each["score"]))
    console.print(table)
    same = f"{result['agreeing']:,} / {result['compared']:,} {say('labels are those of people')}"
    console.print(
        f"{escape(result['model'])}: {same}; {_counted(result['without_prediction'], 'rows without an answer')}; "
        f"{_counted(result['unreadable'], 'answers that are no label')}"
    )


def review(console: Console, result: list[dict[str, Any]]) -> None:
    """The rows to look at again."""
    table = _table("row", "why", "label", "suggested", "by")
    for each in result:
        for reason in each["reasons"]:
            values = (each["row"], reason["why"], reason["label"], reason["suggested"], reason["model"])
            table.add_row(*(escape(value) for value in values))
    console.print(table)
