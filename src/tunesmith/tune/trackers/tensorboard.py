"""Curves as TensorBoard event files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.tune.tracking import Log, Run


@dataclass(frozen=True)
class Tensorboard:
    """Event files that `tensorboard --logdir FOLDER` draws.

    Args:
        folder: where they are written, inside the project folder; each run has a folder of its own there.
    """

    folder: str = "tensorboard"

    library: ClassVar[str] = "tensorboard"

    @contextmanager
    def open(self, run: Run) -> Iterator[Log]:
        """See `tracking.Tracker`."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(run.inside(self.folder) / run.id))

        def log(values: Mapping[str, float], step: int) -> None:
            scalars = [Summary.Value(tag=f"tune/{name}", simple_value=value) for name, value in values.items()]
            writer.add_event(Event(step=step, wall_time=run.now(), summary=Summary(value=scalars)))

        try:
            yield log
        finally:
            writer.close()
