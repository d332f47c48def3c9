"""Curves of a running training sent to trackers; none is on unless the project file names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.files import resolve_under
from tunesmith.core.shelf import Shelf

TRACKERS = Shelf("trackers", "tunesmith.tune.trackers")

Log = Callable[[Mapping[str, float], int], Any]
"""Takes the named values of a step; steps are counted from 1 over all phases."""


@dataclass(frozen=True)
class Run:
    """What a tracker is told of the training.

    Args:
        id: of this run of the stage.
        root: the project folder.
        settings: the section `tune` with every `auto` filled, as plain values.
    """

    id: str
    root: Path
    settings: Mapping[str, Any]

    def inside(self, folder: str) -> Path:
        """`folder`, held inside the project folder."""
        return resolve_under(self.root, folder)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class Tracker(Protocol):
    """A place for curves; `library` is the module that it needs."""

    library: ClassVar[str]

    def open(self, run: Run) -> AbstractContextManager[Log]:
        """Begin the run there; it is ended when the block ends, however it ends."""
        ...


def tracker_problems(use: Any, *, where: str) -> list[Problem]:
    """What is wrong with one tracker of the project file, its library not being installed included."""
    found = TRACKERS.problems(use, where=where)
    if not found and find_spec(TRACKERS.get(use.use).library) is None:
        message = f"'{use.use}' needs a library that is not installed"
        found.append(Problem("needs-library", message, "pip install 'tunesmith[tracking]'", where, value=use.use))
    return found


@contextmanager
def tracked(uses: Sequence[Any], run: Run, events: Events, *, stage: str) -> Iterator[None]:
    """Send the curve that `events` tells of `stage` to every tracker of `uses`.

    A tracker that fails while the training runs is told once and left alone from then on: it costs curves, no run.

    Raises:
        UserError: unknown tracker or setting.
    """
    with ExitStack() as stack:
        for number, use in enumerate(uses):
            tracker: Tracker = TRACKERS.build(use, where=f"tune.track[{number}]")
            log = _begun(tracker, run, stack, events=events, stage=stage)
            if log is not None:
                stack.enter_context(events.heard_by(_Sink(str(use.use), log, events, stage)))
        yield


def _begun(tracker: Tracker, run: Run, stack: ExitStack, *, events: Events, stage: str) -> Log | None:
    try:
        return stack.enter_context(_quietly_ended(tracker.open(run), events, stage))
    except UserError:
        raise
    except Exception as error:
        events.tell("warning", stage, f"the tracker could not be opened ({error}); nothing is sent to it")
        return None


@contextmanager
def _quietly_ended(opened: AbstractContextManager[Log], events: Events, stage: str) -> Iterator[Log]:
    """`opened`, whose own failure at the end is told and not raised."""
    log = opened.__enter__()
    try:
        yield log
    finally:
        try:
            opened.__exit__(None, None, None)
        except Exception as error:
            events.tell("warning", stage, f"the tracker could not be closed ({error})")


class _Sink:
    def __init__(self, name: str, log: Log, events: Events, stage: str) -> None:
        self.name, self.log, self.events, self.stage = name, log, events, stage
        self.failed, self.step = False, 0

    def __call__(self, event: Event) -> None:
        if self.failed or event.kind != "metric" or event.stage != self.stage:
            return
        values = {name: float(value) for name, value in event.data.items() if isinstance(value, int | float)}
        self.step = max(self.step + 1, int(values.pop("step", 0)))
        try:
            self.log(values, self.step)
        except Exception as error:
            self.failed = True
            self.events.tell("warning", self.stage, f"{self.name}: {error}; nothing more is sent to it")
