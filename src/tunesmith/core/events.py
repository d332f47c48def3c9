"""One event stream: what happens is told once, and shown in many ways.

A room tells `Events` what it does; terminal bars, plain lines, JSON lines and the run's log file
are sinks that listen. No room prints.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Kind = Literal["stage", "progress", "metric", "note", "warning", "incident", "gate", "done"]
Sink = Callable[["Event"], None]
T = TypeVar("T")

_PROGRESS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Args:
        kind: `stage` a stage begins; `progress` work done so far; `metric` a point of a curve;
            `note` something worth a line; `warning`; `incident` a warning that goes into the ledger;
            `gate` a verdict; `done` a stage ended.
        stage: name of the stage or command that speaks.
        message: one line for people.
        data: JSON values for programs. `progress` carries `done`, `total` (None if unknown) and `unit`;
            `metric` carries `step` and the named values; `done` carries `seconds` and `reused`.
        at: seconds since the epoch.
    """

    kind: Kind
    stage: str
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {"kind": self.kind, "stage": self.stage, "message": self.message, "data": self.data, "at": self.at}


class Events:
    """Passes each event to every sink, in order, one at a time (safe between threads)."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = list(sinks)
        self._lock = threading.RLock()  # a sink may tell something itself

    @contextlib.contextmanager
    def heard_by(self, sink: Sink) -> Iterator[None]:
        """Add `sink` for the length of a block."""
        with self._lock:
            self._sinks.append(sink)
        try:
            yield
        finally:
            with self._lock:
                self._sinks.remove(sink)

    def tell(self, kind: Kind, stage: str, message: str = "", **data: Any) -> None:
        """Send one event."""
        event = Event(kind, stage, message, data)
        with self._lock:
            for sink in tuple(self._sinks):
                sink(event)

    def track(
        self, items: Iterable[T], stage: str, message: str, *, total: int | None = None, unit: str = "rows"
    ) -> Iterator[T]:
        """Yield `items` and tell `progress`, at most ten times a second and always at the end."""
        done, told = 0, 0.0
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - told >= _PROGRESS_SECONDS:
                told = now
                self.tell("progress", stage, message, done=done, total=total, unit=unit)
        self.tell("progress", stage, message, done=done, total=done if total is None else total, unit=unit)
