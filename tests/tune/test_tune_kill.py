"""kill -9 at any instant: the run that goes on is bit for bit the run that was never killed (pain 15)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tune_fakes import some_rows, tiny_base

DRIVER = Path(__file__).with_name("tune_driver.py")
SETTINGS = {
    "epochs": 4,
    "checkpoint_every": "1 steps",
    "strategy": {"use": "lora", "rank": 4, "alpha": 8, "dropout": 0.1},
}
"""12 steps, a checkpoint after each; dropout draws from the random state, which must be resumed as well."""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    told: dict[str, Any] = {"base": tiny_base(folder).path, "spec": SETTINGS}
    for name, rows in (("train", some_rows(10)), ("valid", some_rows(3, seed=1))):
        told[name] = [[row.id, row.ids, row.trained] for row in rows]
    path = folder / "job.json"
    path.write_text(json.dumps(told))
    return path


def start(job: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    out.mkdir(parents=True, exist_ok=True)
    (out / "started").unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": str(random.randrange(1000))}
    command = [sys.executable, str(DRIVER), str(job), str(out), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(job: Path, out: Path) -> dict[str, Any]:
    process = start(job, out)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-2000:]
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


@pytest.fixture(scope="module")
def whole(job: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run that is never killed, and the seconds that its training takes."""
    out = tmp_path_factory.mktemp("whole")
    process = start(job, out)
    while not (out / "started").exists() and process.poll() is None:
        time.sleep(0.01)
    began = time.monotonic()
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-2000:]
    return {**json.loads((out / "result.json").read_text()), "seconds": time.monotonic() - began}


def kill_inside_a_write(job: Path, out: Path, at: int) -> None:
    process = start(job, out, "kill-at", str(at))
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, "the run ended before that write"


def kill_at_random(job: Path, out: Path, seconds: float) -> bool:
    """Whether it was still running."""
    process = start(job, out)
    while not (out / "started").exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def same(result: dict[str, Any], whole: dict[str, Any]) -> bool:
    return all(result[name] == whole[name] for name in ("adapter", "curve", "valid_loss"))


def test_one_run_killed_again_and_again_equals_the_run_that_was_not(
    job: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    """Inside the first checkpoint (its 3rd write or sync), inside a later one, and at a random instant."""
    assert len(whole["curve"]) == 12
    for at in (3, 40):
        kill_inside_a_write(job, tmp_path, at)
    kill_at_random(job, tmp_path, whole["seconds"] * random.random())
    assert same(finish(job, tmp_path), whole)


@pytest.mark.slow
def test_fifty_kills(job: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    """50 runs, each killed once or more: 17 inside a checkpoint's writing at the n-th call, 33 at random instants."""
    chance = random.Random(0)
    running = 0
    for number in range(50):
        out = tmp_path / str(number)
        if number % 3 == 0 and number < 51:
            kill_inside_a_write(job, out, chance.randrange(1, 80))
        else:
            running += kill_at_random(job, out, whole["seconds"] * chance.random())
        assert same(finish(job, out), whole), f"kill {number}"
    assert running >= 25, "too few kills hit a running training to mean anything"
