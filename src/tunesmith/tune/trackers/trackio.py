"""Curves in a local Trackio dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.tune.tracking import Log, Run


@dataclass(frozen=True)
class Trackio:
    """A run in Trackio's local database; `trackio show` draws it.

    Args:
        project: name of the project there.
    """

    project: str = "tunesmith"

    library: ClassVar[str] = "trackio"

    @contextmanager
    def open(self, run: Run) -> Iterator[Log]:
        """See `tracking.Tracker`."""
        import trackio

        trackio.init(project=self.project, name=run.id, config=dict(run.settings), resume="allow", embed=False)
        try:
            yield lambda values, step: trackio.log(dict(values), step=step)
        finally:
            trackio.finish()
