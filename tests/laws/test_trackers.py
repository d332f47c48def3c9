"""Laws of every tracker, and what a training owes to those that fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.events import Event, Events
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.tune import tracking
from tunesmith.tune.tracking import TRACKERS, Run, tracked, tracker_problems

POINTS: list[dict[str, Any]] = [
    {"step": 1, "loss": 2.5, "cross_entropy": 2.5},
    {"step": 2, "loss": 2.25, "phase": "text"},
]


def run_in(folder: Path) -> Run:
    return Run("run-0123", folder, {"learning_rate": 0.001, "strategy": {"use": "lora"}})


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libraries write to by default lies in the test's own folder, and nothing is sent anywhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow-skinny has no database of its own


@pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
@pytest.mark.parametrize("name", TRACKERS.names())
def test_every_tracker_takes_a_curve_and_leaves_something_on_this_machine(name: str, tmp_path: Path) -> None:
    if find_spec(TRACKERS.get(name).library) is None:
        pytest.skip("needs the trackers' libraries: pip install 'tunesmith[tracking]'")
    heard: list[Event] = []
    events = Events(heard.append)
    with tracked([Use(use=name)], run_in(tmp_path), events, stage="tune"):
        for point in POINTS:
            events.tell("metric", "tune", **point)
    assert [event.message for event in heard if event.kind == "warning"] == []
    assert any(files for _, _, files in os.walk(tmp_path))


def test_tensorboard_has_every_number_at_its_step(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = Events()
    with tracked([Use(use="tensorboard")], run_in(tmp_path), events, stage="tune"):
        for point in POINTS:
            events.tell("metric", "tune", **point)
        events.tell("metric", "evaluate", step=3, loss=9.0)
    read = EventAccumulator(str(tmp_path / "tensorboard" / "run-0123")).Reload()
    assert [(e.step, e.value) for e in read.Scalars("tune/loss")] == [(1, 2.5), (2, 2.25)]
    assert [(e.step, e.value) for e in read.Scalars("tune/cross_entropy")] == [(1, 2.5)]


class Failing:
    """A tracker that takes one step and then fails, and fails at its end too."""

    library = "json"

    def __init__(self) -> None:
        self.taken: list[int] = []

    @contextmanager
    def open(self, run: Run) -> Iterator[tracking.Log]:
        def log(values: Any, step: int) -> None:
            if self.taken:
                raise OSError("the server is gone")
            self.taken.append(step)

        yield log
        raise OSError("still gone")


def test_a_tracker_that_fails_is_told_once_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []
    failing = Failing()
    monkeypatch.setattr(Shelf, "build", lambda *_, **__: failing)
    events = Events(heard.append)
    with tracked([Use(use="failing")], run_in(tmp_path), events, stage="tune"):
        for step in (1, 2, 3):
            events.tell("metric", "tune", step=step, loss=1.0)
    warnings = [event.message for event in heard if event.kind == "warning"]
    assert failing.taken == [1]
    assert len(warnings) == 2 and "the server is gone" in warnings[0] and "could not be closed" in warnings[1]


def test_a_missing_library_is_a_problem_of_the_project_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    [problem] = tracker_problems(Use(use="wandb"), where="tune.track[0]")
    assert problem.code == "needs-library" and "tunesmith[tracking]" in problem.hint


def test_a_folder_outside_the_project_is_refused(tmp_path: Path) -> None:
    from tunesmith.core.errors import UserError

    use = Use.model_validate({"use": "tensorboard", "folder": "../elsewhere"})
    with pytest.raises(UserError, match="leads out of"), tracked([use], run_in(tmp_path), Events(), stage="tune"):
        pass
