"""Curves in Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

from tunesmith.tune.tracking import Log, Run


@dataclass(frozen=True)
class Wandb:
    """A run of Weights & Biases, kept on this machine unless `online` is asked for.

    Args:
        project: its name there.
        mode: `offline`: files that `wandb sync` sends later; `online`: sent at once, needs a login.
        folder: where the files are written, inside the project folder.
    """

    project: str = "tunesmith"
    mode: Literal["offline", "online"] = "offline"
    folder: str = "wandb"

    library: ClassVar[str] = "wandb"

    @contextmanager
    def open(self, run: Run) -> Iterator[Log]:
        """See `tracking.Tracker`."""
        import wandb

        folder = run.inside(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off")
        made = wandb.init(
            project=self.project, name=run.id, config=dict(run.settings), mode=self.mode, dir=folder, settings=settings
        )
        try:
            yield lambda values, step: made.log(dict(values), step=step)
        finally:
            made.finish()
