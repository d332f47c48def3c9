"""kill -9 at any instant: the run that goes on is bit for bit the run that was never killed (pain 15)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tune_fakes import some_rows, tiny_base

DRIVER = Path(__file__).with_name("tune_driver.py")
LORA = {"use": "lora", "rank": 4, "alpha": 8, "dropout": 0.1}
SETTINGS = {"epochs": 4, "checkpoint_every": "1 steps", "strategy": LORA}
"""12 steps, a checkpoint after each; dropout draws from the random state, which must be resumed as well."""
KILLED = -9
KILLS = 50


@dataclass
class Driver:
    """Trainings in processes of their own; see `tune_driver.py`."""

    process: subprocess.Popen[str]

    def run(self, out: Path, *, kill_at: int | None = None, kill_after: float | None = None) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"out": str(out), "kill_at": kill_at, "kill_after": kill_after}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer

    def finish(self, out: Path) -> dict[str, Any]:
        done = self.run(out)
        assert done["code"] == 0
        result: dict[str, Any] = json.loads((out / "result.json").read_text())
        return {**result, "seconds": done["seconds"]}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("job")
    told: dict[str, Any] = {"base": tiny_base(folder).path, "spec": SETTINGS}
    for name, rows in (("train", some_rows(10)), ("valid", some_rows(3, seed=1))):
        told[name] = [[row.id, row.ids, row.trained] for row in rows]
    (folder / "job.json").write_text(json.dumps(told))
    command = [sys.executable, str(DRIVER), str(folder / "job.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield Driver(process)
    process.communicate()


@pytest.fixture(scope="module")
def whole(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run that is never killed, and the seconds that it takes."""
    return driver.finish(tmp_path_factory.mktemp("whole"))


def same(result: dict[str, Any], whole: dict[str, Any]) -> bool:
    return all(result[name] == whole[name] for name in ("adapter", "curve", "valid_loss"))


def test_one_run_killed_again_and_again_equals_the_run_that_was_not(
    driver: Driver, whole: dict[str, Any], tmp_path: Path
) -> None:
    """Twice inside the writing of a checkpoint and twice at a random instant; then it runs to its end."""
    assert len(whole["curve"]) == 12
    for at in (7, 40):
        assert driver.run(tmp_path, kill_at=at)["code"] == KILLED
    for _ in range(2):
        driver.run(tmp_path, kill_after=whole["seconds"] * random.random())
    assert same(driver.finish(tmp_path), whole)


@pytest.mark.slow
def test_fifty_kills(driver: Driver, whole: dict[str, Any], tmp_path: Path) -> None:
    """50 runs, each killed once: 17 inside the writing of a checkpoint, 33 at random instants."""
    chance, longest = random.Random(0), whole["seconds"]
    for number in range(KILLS):
        out = tmp_path / str(number)
        if number % 3 == 0:
            assert driver.run(out, kill_at=chance.randrange(1, 80))["code"] == KILLED, number
        else:
            while driver.run(out, kill_after=longest * chance.random())["code"] != KILLED:
                shutil.rmtree(out)  # it had ended before the kill, which then showed nothing
                longest *= 0.9
        assert same(driver.finish(out), whole), f"kill {number}"
