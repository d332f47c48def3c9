"""Curves in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.tune.tracking import Log, Run


@dataclass(frozen=True)
class Mlflow:
    """A run of an MLflow experiment.

    Args:
        experiment: its name.
        server: tracking URI of an MLflow server; None: MLflow's own default (`MLFLOW_TRACKING_URI`, else files).
    """

    experiment: str = "tunesmith"
    server: str | None = None

    library: ClassVar[str] = "mlflow"

    @contextmanager
    def open(self, run: Run) -> Iterator[Log]:
        """See `tracking.Tracker`."""
        import mlflow

        if self.server is not None:
            mlflow.set_tracking_uri(self.server)
        mlflow.set_experiment(self.experiment)
        with mlflow.start_run(run_name=run.id):
            mlflow.log_params({name: str(value)[:500] for name, value in run.settings.items()})
            yield lambda values, step: mlflow.log_metrics(dict(values), step=step)
