"""Sinks of the event stream: bars on a terminal, plain lines in a pipe, JSON lines for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tunesmith.core.events import Event, Sink

_LINE_SECONDS = 15.0
_MARK = {"passed": "[green]passed[/]", "failed": "[red]failed[/]", "unknown": "[yellow]unknown[/]"}


class Rate(ProgressColumn):
    """Items per second, with their unit."""

    def render(self, task: Task) -> Text:
        """The rate of one bar, empty before the first step."""
        unit = task.fields.get("unit", "")
        return Text(f"{task.speed:,.1f} {unit}/s" if task.speed else "", style="cyan")


class Remaining(TimeRemainingColumn):
    """Time left: as who speaks predicts it (`seconds_left`), else from the rate so far."""

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds of one bar."""
        told = task.fields.get("seconds_left")
        if told is None:
            return super().render(task)
        return Text(str(timedelta(seconds=round(told))), style="progress.remaining")


@contextmanager
def listening(*, as_json: bool = False, quiet: bool = False) -> Iterator[Sink]:
    """The sink that fits where standard error goes; bars are closed whatever happens."""
    if quiet:
        yield lambda event: None
    elif as_json:
        yield json_lines
    elif sys.stderr.isatty():
        with Bars() as bars:
            yield bars
    else:
        yield PlainLines()


def json_lines(event: Event) -> None:
    """One JSON object a line on standard error."""
    print(json.dumps(event.as_dict(), ensure_ascii=False, default=str), file=sys.stderr, flush=True)


def say(event: Event) -> str:
    """One line with rich markup for everything that is not progress; empty for what people need not see."""
    if event.kind == "gate":
        verdict = event.data["verdict"]
        lines = [f"  gate {event.stage}: {_MARK[verdict['verdict']]}"]
        for reason in verdict["reasons"]:
            if reason["verdict"] != "passed":
                lines.append(
                    f"    [red]x[/] {_plain(reason['message'])}"
                    if reason["verdict"] == "failed"
                    else f"    [yellow]?[/] {_plain(reason['message'])}"
                )
        if verdict["lowered"] and verdict["verdict"] != "passed":
            lines.append(f"    lowered to a warning: {_plain(verdict['lowered'])}")
        return "\n".join(lines)
    if event.kind == "done":
        how = "unchanged" if event.data.get("reused") else f"{event.data['seconds']:.1f} s"
        return f"[bold]{event.stage:<10}[/] {how}  [dim]{event.message}[/]"
    if event.kind in ("warning", "incident"):
        return f"  [yellow]warning[/] {event.stage}: {_plain(event.message)}"
    if event.kind == "note":
        return f"  {event.stage}: {_plain(event.message)}"
    return ""


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


class Bars:
    """Rich progress bars on standard error: stage, share, rate, time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]:<9}"),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            TextColumn("{task.fields[more]}"),
            console=Console(stderr=True),
        )
        self.tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "progress":
            self._move(event)
        else:
            if event.kind == "done":
                self._close(event.stage)
            if line := say(event):
                self.progress.console.print(line, highlight=False)

    def _move(self, event: Event) -> None:
        key = (event.stage, event.message)
        if key not in self.tasks:
            self.tasks[key] = self.progress.add_task(
                event.message,
                total=event.data.get("total"),
                stage=event.stage,
                unit=event.data.get("unit", ""),
                more="",
            )
        told = {"more": event.data.get("more", ""), "seconds_left": event.data.get("seconds_left")}
        self.progress.update(self.tasks[key], completed=event.data["done"], total=event.data.get("total"), **told)

    def _close(self, stage: str) -> None:
        for key in [key for key in self.tasks if key[0] == stage]:
            self.progress.remove_task(self.tasks.pop(key))


class PlainLines:
    """One line an event, progress at most every 15 seconds; for pipes and log files."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, width=200, no_color=True)
        self.told: dict[tuple[str, str], float] = {}
        self.began: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if event.kind == "progress":
            self._progress(event)
        elif line := say(event):
            self.console.print(line, highlight=False)

    def _progress(self, event: Event) -> None:
        key, now = (event.stage, event.message), time.monotonic()
        began = self.began.setdefault(key, now)
        if now - self.told.get(key, began) < _LINE_SECONDS:
            return
        self.told[key] = now
        done, total = event.data["done"], event.data.get("total")
        rate = done / (now - began) if now > began else 0.0
        seconds = event.data.get("seconds_left", (total - done) / rate if total and rate else None)
        left = "" if seconds is None else f", {seconds:.0f} s left"
        of = f" of {total}" if total else ""
        unit, more = event.data.get("unit", ""), event.data.get("more", "")
        line = f"  {event.stage}: {event.message} {done}{of} {unit}, {rate:.1f} {unit}/s{left}"
        self.console.print(f"{line}, {more}" if more else line, highlight=False)
