"""kill -9 at any instant: the run that goes on is bit for bit the run that was never killed (pain 15)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tune_jobs import COMPILED, JOBS

DRIVER = Path(__file__).with_name("tune_driver.py")
KILLED = -9
KILLS = 500

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs os.fork and /proc")


@dataclass
class Driver:
    """Trainings in processes of their own; see `tune_driver.py`."""

    process: subprocess.Popen[str]
    folder: Path
    _whole: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, job: str, out: Path, **kill: float | None) -> dict[str, float]:
        """Train, and kill by `kill_at` or `kill_after`; the exit code and the seconds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        asked = {"job": job, "out": str(out), "kill_at": None, "kill_after": None, "here": False, **kill}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer

    def finish(self, job: str, out: Path, **where: bool) -> dict[str, Any]:
        done = self.run(job, out, **where)
        assert done["code"] == 0
        result: dict[str, Any] = json.loads((out / "result.json").read_text())
        return {**result, "seconds": done["seconds"]}

    def whole(self, job: str) -> dict[str, Any]:
        """The run that is never killed: what it made, its seconds, its calls inside the writing of checkpoints."""
        if job not in self._whole:
            self._whole[job] = self.finish(job, self.folder / f"whole-{len(self._whole)}", here=True)
        return self._whole[job]

    def check(self, job: str, out: Path) -> int:
        """Finish a killed run and compare it; the step after which it went on."""
        whole, result = self.whole(job), self.finish(job, out)
        # What is shipped, and the two newest step checkpoints: weights, moments and random states.
        assert [name.split("/")[0] for name in whole["digests"]][-3:] == ["out", "scratch", "scratch"]
        for name in ("digests", "curve", "valid_loss", "told"):
            assert result[name] == whole[name], f"{name} of {job}"
        return int(result["resumed_after"])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("driver")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Driver(process, folder)
    process.communicate()


@pytest.mark.parametrize("job", JOBS)
def test_a_run_killed_again_and_again_equals_the_run_that_was_not(driver: Driver, job: str, tmp_path: Path) -> None:
    """Twice inside the writing of a checkpoint and once at a random instant; then it runs to its end.

    12 steps or more, at least 18 calls a checkpoint: two kills within the first third each leave a third to be done.
    """
    whole, chance = driver.whole(job), random.Random(job)
    assert len(whole["curve"]) >= 10 and whole["calls"] >= 18 * len(whole["curve"])
    assert not whole["told"] and not whole["resumed_after"]
    for _ in range(2):
        assert driver.run(job, tmp_path, kill_at=chance.randrange(40, whole["calls"] // 3))["code"] == KILLED
    driver.run(job, tmp_path, kill_after=whole["seconds"] * chance.random() / 2)
    assert driver.check(job, tmp_path) >= 2


@pytest.mark.slow
def test_five_hundred_kills(driver: Driver, tmp_path: Path) -> None:
    """500 runs over all jobs, each killed once: a third inside the writing of checkpoints, at calls spread evenly over
    all of them, the others at random instants."""
    chance, inside, resumed = random.Random(0), 0, 0
    longest = {job: driver.whole(job)["seconds"] for job in JOBS}
    for number in range(KILLS):
        job, out = [*JOBS][number // 3 % len(JOBS)], tmp_path / str(number)
        if number % 3 == 0:
            at = 1 + number * driver.whole(job)["calls"] // KILLS
            assert driver.run(job, out, kill_at=at)["code"] == KILLED, number
            inside += 1
        else:
            while driver.run(job, out, kill_after=longest[job] * chance.random())["code"] != KILLED:
                shutil.rmtree(out)  # it had ended before the kill, which then showed nothing
                longest[job] *= 0.95
        resumed += driver.check(job, out) > 0
        shutil.rmtree(out)
    assert inside == 167 and resumed > KILLS / 2


@pytest.mark.slow
@pytest.mark.parametrize("job", COMPILED)
def test_compiled_layers_are_compiled_alike_by_the_process_that_goes_on(job: str, tmp_path: Path) -> None:
    """Three processes: one trains to the end, one dies half-way inside a checkpoint, and the third goes on from there.

    Torch's compiler may choose other code for other lengths of rows; the batch that it sees first is the same.
    """
    command, environment = [sys.executable, str(DRIVER), str(tmp_path)], {**os.environ, "OMP_NUM_THREADS": "1"}

    def trained(name: str, *, kill_at: int | None = None) -> Any:
        out = tmp_path / name
        asked = {"job": job, "out": str(out), "kill_at": kill_at, "kill_after": None, "here": True}
        ended = subprocess.run(
            command, env=environment, input=json.dumps(asked) + "\n", text=True, check=False, capture_output=True
        )
        assert ended.returncode == (KILLED if kill_at else 0), ended.stderr[-2000:]
        return None if kill_at else json.loads((out / "result.json").read_text())

    whole = trained("whole")
    trained("killed", kill_at=whole["calls"] // 2)
    resumed = trained("killed")
    assert resumed["resumed_after"] >= 2 and not whole["told"]
    for same in ("digests", "curve", "valid_loss", "told"):
        assert resumed[same] == whole[same], same
