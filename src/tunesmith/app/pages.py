"""Results as tables on a terminal. Every function takes the console and the JSON result of a `Workshop` method."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tunesmith.app.words import say

_COLOUR = {"passed": "green", "failed": "red", "unknown": "yellow"}


def outcome(console: Console, result: dict[str, Any]) -> None:
    """The end of a run: targets against base and expert, gates with reasons, times, where the report is."""
    if result["targets"]:
        console.print(_targets(result))
    _stages(console, result)
    _estimates(console, result["estimates"])
    for gate in result["gates"]:
        _gate(console, gate)
    for note in result["notes"]:
        console.print(f"[dim]{say('note')}: {escape(note)}[/]")
    if result["report"]:
        console.print(f"{say('report')}: {result['report']}", soft_wrap=True, highlight=False)
    if result["outcome"] == "passed":
        console.print(f"[bold green]{say('PASSED: the expert may go on to release')}[/]")
    elif result["outcome"] == "stopped":
        console.print(f"[bold red]{say('STOPPED: a gate said no')}[/]")
    else:
        why = say(result["outcome"] or "still running")
        console.print(f"[bold yellow]{say('The run ended early')}[/]: {escape(why)}")


def _targets(result: dict[str, Any]) -> Table:
    table = Table(title=escape(result["project"]))
    for heading in ("target", "base model", "base by likelihood", "expert", "95 % interval", "verdict"):
        table.add_column(say(heading), justify="left" if heading in {"target", "verdict"} else "right")
    for row in result["targets"]:
        target = row["target"]
        side = "at_least" if target["at_least"] is not None else "at_most"
        where = f" ({target['slice']})" if target["slice"] else ""
        name = f"{target['measure']}{where} {say(side.replace('_', ' '))} {target[side]:g}"
        interval = f"{number(row['low'])} - {number(row['high'])}" if row["low"] is not None else "-"
        verdict = Text(say(row["verdict"]), style=_COLOUR.get(row["verdict"], ""))
        figures = [number(row[key]) for key in ("base", "base_fair", "expert")]
        table.add_row(escape(name), *figures, interval, verdict)
    return table


def number(value: float | None) -> str:
    """Three significant digits; a dash for what was not measured."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _stages(console: Console, result: dict[str, Any]) -> None:
    parts = [
        f"{s['stage']} {say('unchanged') if s['reused'] else format(s['seconds'], '.1f') + ' ' + say('s')}"
        for s in result["stages"]
    ]
    parts.append(f"{say('in all')} {result['seconds']:.1f} {say('s')}")
    console.print(f"[dim]{escape(' | '.join(parts))}[/]", highlight=False)


def _estimates(console: Console, estimates: dict[str, Any]) -> None:
    """Memory and time of the training, predicted and measured side by side; nothing where neither is known."""
    units = {"memory_gb": ("memory of training", "GB"), "minutes": ("time of training", "min")}
    told = [
        f"{say(name)}: {say('predicted')} {number(estimates[key]['predicted'])} {say(unit)}, "
        f"{say('measured')} {number(estimates[key]['measured'])} {say(unit)}"
        for key, (name, unit) in units.items()
        if any(value is not None for value in estimates[key].values())
    ]
    if told:
        console.print(f"[dim]{escape(' | '.join(told))}[/]", highlight=False)


def _gate(console: Console, gate: dict[str, Any]) -> None:
    """One line for a gate that passed; the reasons, too, for one that did not (the report has all of them)."""
    colour = _COLOUR[gate["verdict"]]
    count = f" [dim]({len(gate['reasons'])})[/]" if gate["verdict"] == "passed" else ""
    console.print(f"{say('gate')} {gate['gate']}: [{colour}]{say(gate['verdict'])}[/]{count}", highlight=False)
    for reason in gate["reasons"]:
        if reason["verdict"] != "passed":
            mark, style = ("x", "red") if reason["verdict"] == "failed" else ("?", "yellow")
            console.print(f"  [{style}]{mark} {escape(reason['message'])}[/]", highlight=False)
    if gate["lowered"] and gate["verdict"] != "passed":
        console.print(f"  [yellow]{say('lowered to a warning')}: {escape(gate['lowered'])}[/]", highlight=False)


def plan(console: Console, result: dict[str, Any]) -> None:
    """What a run would do."""
    table = Table("stage", "makes", "what will happen", title=f"plan of {escape(result['project'])}")
    for step in result["stages"]:
        table.add_row(step["stage"], step["makes"], step["what"])
    console.print(table)
    settings = Table("setting", "value", "why", "source", title="settings that were chosen for you")
    for row in result["settings"]:
        settings.add_row(row["name"], str(row["value"]), escape(row["reason"]), escape(row["source"]))
    console.print(settings)
    console.print("[bold]estimate[/]")
    for name, value in result["estimate"].items():
        console.print(f"  {name}: {escape(str(value))}", highlight=False)


def runs(console: Console, result: list[dict[str, Any]]) -> None:
    """One line a run."""
    table = Table("run", "started", "outcome", "exit", "made", "gates", "seconds")
    for row in result:
        gates = " ".join(f"{name}:{verdict}" for name, verdict in row["gates"].items())
        made = ", ".join(row["made"]) or say("unchanged")
        table.add_row(
            row["session"],
            str(row["started"]),
            row["outcome"],
            str(row["exit_code"]),
            made,
            gates,
            f"{row['seconds']:.1f}",
        )
    console.print(table)


def answer(console: Console, result: dict[str, Any]) -> None:
    """One answer."""
    if result["reasoning"]:
        console.print(result["reasoning"], style="dim", markup=False)
    console.print(result["text"], markup=False)


def shelves(console: Console, result: dict[str, list[dict[str, str]]]) -> None:
    """Components by kind."""
    for kind, components in result.items():
        table = Table("use:", "what it is", title=kind, title_justify="left", expand=False)
        for component in components:
            table.add_row(component["name"], escape(component["about"]))
        console.print(table)


def doctor(console: Console, result: dict[str, Any]) -> None:
    """What the machine can do."""
    for part, values in result.items():
        table = Table(part, "", show_header=True)
        for name, value in values.items():
            table.add_row(name, escape(str(value)))
        console.print(table)


def preview(console: Console, result: list[dict[str, Any]]) -> None:
    """Rows in tokens: trained green, prompt dim, cut struck out."""
    for file in result:
        console.print(f"[bold]{escape(file['file'])}[/]: {escape(file['about'])}", highlight=False)
        for row in file["rows"]:
            console.print(
                f"  {row['id']}: {row['tokens']} tokens, {row['trained']} trained, {row['cut']} cut, "
                f"end of turn {'trained' if row['end_of_turn_trained'] else 'NOT TRAINED'}",
                highlight=False,
            )
            line = Text("    ")
            for piece in row["pieces"]:
                style = "strike red" if piece["cut"] else "bold green" if piece["trained"] else "dim"
                line.append(piece["text"].replace("\n", "\u23ce"), style=style)
            console.print(line)
            for problem in row["problems"]:
                console.print(f"    [yellow]? {escape(problem)}[/]", highlight=False)


def audit(console: Console, result: dict[str, Any]) -> None:
    """Whether the ledger is intact."""
    if result["intact"]:
        head = result["head"]
        console.print(f"[green]intact[/]: {result['records']} records, head {head['hash'][:16] if head else '-'}")
    for problem in result["problems"]:
        console.print(f"[red]x[/] {escape(problem['message'])}")


def ledger(console: Console, result: dict[str, Any]) -> None:
    """The ledger's records."""
    table = Table("seq", "at", "kind", "actor", "body")
    for entry in result["entries"]:
        table.add_row(
            str(entry["seq"]), str(entry["at"]), entry["kind"], entry["actor"], escape(str(entry["body"])[:100])
        )
    console.print(table)
