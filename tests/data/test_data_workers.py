"""Who works on the shards never shows, and whoever is killed, the run goes on where it was."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_data_line import project, run, work_done

from tunesmith.core.errors import UserError
from tunesmith.core.examples import read_examples
from tunesmith.core.ids import digest_folder
from tunesmith.core.protocols import Executor, Here
from tunesmith.core.shelf import Shelf
from tunesmith.data.read import _parts
from tunesmith.project.executors.local import Local

NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs the extra: pip install 'tunesmith[ray]'"
)
PARTS = 12
"""Shards and stretches that the runs of this file are made of, at least."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines in parts of 3 kB, so that the rows of this test are some shards and not one."""
    monkeypatch.setattr(_parts, "PART_BYTES", 3000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files that one process writes in one go."""
    root = tmp_path_factory.mktemp("whole")
    project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_parts, "PART_BYTES", 3000)
        run(root, "out", Here())
    assert len(work_done(root)) >= PARTS
    return digest_folder(root / "out")


@pytest.mark.parametrize("workers", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_any_number_of_workers_writes_the_same_bytes(workers: int, tmp_path: Path, whole: dict[str, str]) -> None:
    project(tmp_path)
    run(tmp_path, "out", Local(workers))
    assert digest_folder(tmp_path / "out") == whole


@pytest.mark.slow
@NEEDS_RAY
@pytest.mark.filterwarnings("ignore")  # its processes outlive the objects that started them
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_ray_cluster_writes_the_same_bytes(workers: int, tmp_path: Path, whole: dict[str, str]) -> None:
    project(tmp_path)
    run(tmp_path, "out", executor("ray", workers))
    assert digest_folder(tmp_path / "out") == whole


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left() -> Iterator[None]:
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.mark.slow
def test_whole_files_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4 MB: every file is one. Drops stand by shard, so only their order differs."""
    project(tmp_path)
    run(tmp_path, "out", Here())
    monkeypatch.setattr(_parts, "PART_BYTES", 4_000_000)
    run(tmp_path, "one", Here())
    some, one = (sorted((tmp_path / out / "drops.jsonl").read_text("utf-8").splitlines()) for out in ("out", "one"))
    assert some == one
    rows, rows_of_one = (read_examples(tmp_path / out / "examples.parquet") for out in ("out", "one"))
    assert rows == rows_of_one


def run_with_two(root: Path, use: str) -> None:
    """In a process of its own, which ends with code 2 where a worker died."""
    _parts.PART_BYTES = 3000
    try:
        run(root, "out", executor(use, 2))
    except UserError as error:
        assert [problem.code for problem in error.problems] == ["worker-died"]
        sys.exit(2)


def executor(use: str, workers: int) -> Executor:
    built: Executor = Shelf("executors", "tunesmith.project.executors").build({"use": use, "workers": workers})
    return built


def killed(root: Path, whom: str, *, after: int, pause: float) -> int:
    """Run with two workers and kill the main process or a worker when so many shards stand; the exit code."""
    process = multiprocessing.get_context("spawn").Process(target=run_with_two, args=(root, "local"))
    process.start()
    main = psutil.Process(process.pid)
    until = time.monotonic() + 300
    workers: list[psutil.Process] = []
    while process.is_alive() and time.monotonic() < until and not (workers and len(work_done(root)) >= after):
        with contextlib.suppress(psutil.Error):  # a process that ends while it is looked at
            workers = [child for child in main.children() if "spawn_main" in " ".join(child.cmdline())]
        time.sleep(0.005)
    time.sleep(pause)
    with contextlib.suppress(psutil.Error):  # it was done before
        (main if whom == "main" else workers[0]).kill()
    process.join(120)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    assert process.exitcode is not None
    return process.exitcode


def goes_on(root: Path, whom: str, after: int, pause: float, whole: dict[str, str]) -> None:
    project(root)
    assert killed(root, whom, after=after, pause=pause) in ((-9, 0) if whom == "main" else (2, 0))
    before = work_done(root)
    assert before or not after
    run(root, "out", Here())
    assert before <= work_done(root)  # what stood was not made again
    assert digest_folder(root / "out") == whole


@pytest.mark.parametrize("whom", ["main", "worker"])
def test_a_run_that_was_killed_goes_on_where_it_was(whom: str, tmp_path: Path, whole: dict[str, str]) -> None:
    goes_on(tmp_path, whom, 3, 0.0, whole)


@pytest.mark.slow
@NEEDS_RAY
@pytest.mark.filterwarnings("ignore")
def test_a_run_on_a_cluster_that_was_killed_goes_on_in_this_process(tmp_path: Path, whole: dict[str, str]) -> None:
    """What tasks of the cluster had finished stands, and is not made again."""
    project(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=run_with_two, args=(tmp_path, "ray"))
    process.start()
    until = time.monotonic() + 300
    while process.is_alive() and len(work_done(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    psutil.Process(process.pid).kill()
    process.join(120)
    before = work_done(tmp_path)
    assert len(before) >= 3 and process.exitcode == -9
    run(tmp_path, "out", Here())
    assert before <= work_done(tmp_path)
    assert digest_folder(tmp_path / "out") == whole


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["main", "worker"])
@pytest.mark.parametrize("seed", range(20))
def test_at_any_instant(seed: int, whom: str, tmp_path: Path, whole: dict[str, str]) -> None:
    draw = random.Random(seed)
    goes_on(tmp_path, whom, draw.randrange(PARTS), draw.uniform(0, 0.3), whole)
