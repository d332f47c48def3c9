"""`run --workers 2`: the training in two processes, the rest in one; they live and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from project_fakes import ROOT, CommandLine, settings, write_settings
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.project.workers import Crew, listen

LONGEST_SECONDS = 600
LOSS = 1e-3
"""Losses of 48 steps with rate 0.01 from another order of summation: the first differ by 1e-7, the last by more."""


@pytest.fixture
def changed(finished: Path) -> Path:
    """The finished project with a checkpoint after every step: `tune` has to be made again, to the same curve."""
    tune = {**settings()["tune"], "checkpoint_every": "1 steps"}
    write_settings(finished, settings(tune=tune))
    return finished


def begun(project: Path) -> subprocess.Popen[str]:
    """A run by two workers in the background, its events on standard error."""
    command = [sys.executable, "-m", "tunesmith.app.cli", "run", str(project), "--until", "tune", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "TUNESMITH_LANG": "en"}
    environment["TUNESMITH_CACHE"] = str(project.parent / "cache")
    return subprocess.Popen(
        [*command, "--workers", "2"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def after_steps(run: subprocess.Popen[str], steps: int) -> list[psutil.Process]:
    """Wait until that many steps are told; the workers, by rank."""
    assert run.stderr is not None
    for line in run.stderr:
        event = json.loads(line)
        if event["kind"] == "metric" and event["data"]["step"] >= steps:
            found = [child for child in psutil.Process(run.pid).children() if "--watched" in child.cmdline()]
            return sorted(found, key=lambda child: int(child.environ()["RANK"]))
    raise AssertionError("the training ended before")


def gone(workers: list[psutil.Process]) -> bool:
    """Whether all of them have ended, given some seconds."""
    _, alive = psutil.wait_procs(workers, timeout=LONGEST_SECONDS)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def curve(project: Path) -> list[dict[str, Any]]:
    [path] = sorted(project.glob(".tunesmith/runs/tune/*/curves.jsonl"), key=lambda p: p.stat().st_mtime)[-1:]
    return [json.loads(line) for line in path.read_text().splitlines()]


def crew_of(tmp_path: Path, *programs: str) -> Crew:
    """Processes that only speak and end as workers do."""
    crew = Crew([], [])
    for rank, program in enumerate(programs):
        crew.logs.append(tmp_path / f"worker-{rank + 1}.log")
        with crew.logs[-1].open("wb") as log:
            command = [sys.executable, "-c", f"import json, os, signal, sys, time\n{program}"]
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
            crew.processes.append(subprocess.Popen(command, stderr=log, **pipes))
        threading.Thread(target=listen, args=(crew, rank), daemon=True).start()
    return crew


def followed(crew: Crew, heard: list[Event], *, stop_at: str = "") -> Any:
    """What comes of the crew; `stop_at`: the user presses Ctrl-C when every worker has told this."""
    stop = threading.Event()

    def sink(event: Event) -> None:
        heard.append(event)
        if sum(event.message == stop_at for event in heard) == len(crew.processes):
            stop.set()

    try:
        crew.follow(Events(sink), stop)
        return crew.outcome()
    finally:
        crew.end()


SAY = "print(json.dumps({'event': {'kind': 'note', 'stage': 'tune', 'message': 'on', 'data': {'x': 1}}}), flush=True)\n"
WAIT = "time.sleep(600)"


def test_events_are_passed_on_and_the_artifact_is_what_rank_0_says(tmp_path: Path) -> None:
    heard: list[Event] = []
    crew = crew_of(tmp_path, SAY + "print(json.dumps({'artifact': {'steps': 3}}))", "pass")
    assert followed(crew, heard) == {"steps": 3}
    assert [(event.kind, event.message, event.data) for event in heard] == [("note", "on", {"x": 1})]


def test_a_worker_that_dies_is_named_and_takes_the_others_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first notices it and fails too; the third would wait for ever, and is killed."""
    monkeypatch.setattr("tunesmith.project.workers.GRACE_SECONDS", 0.5)
    crew = crew_of(tmp_path, "sys.exit('Connection closed by peer')", "os.kill(os.getpid(), signal.SIGKILL)", WAIT)
    with pytest.raises(UserError, match=r"worker 2 of 3 \(process \d+\) was ended by SIGKILL"):
        followed(crew, [])
    assert all(process.returncode is not None for process in crew.processes)


def test_a_worker_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, "pass", "sys.exit('no such thing')")
    with pytest.raises(UserError, match=r"worker 2 of 2 \(process \d+\) ended with code 1: no such thing"):
        followed(crew, [])


def test_problems_of_workers_are_told_once(tmp_path: Path) -> None:
    problem = "print(json.dumps({'problems': [{'code': 'bad', 'message': 'm'}]}))\nsys.exit(2)"
    with pytest.raises(UserError) as found:
        followed(crew_of(tmp_path, problem, problem), [])
    assert [p.code for p in found.value.problems] == ["bad"]


def test_ctrl_c_reaches_each_worker_once_and_is_waited_for(tmp_path: Path) -> None:
    """The handler takes its time; a second signal would end the process by KeyboardInterrupt, code 1."""
    saving = "signal.signal(signal.SIGINT, lambda *_: (signal.signal(signal.SIGINT, signal.default_int_handler),"
    saving += f" time.sleep(0.5), sys.exit(130)))\n{SAY}{WAIT}"
    crew = crew_of(tmp_path, saving, saving)
    heard: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        followed(crew, heard, stop_at="on")
    assert [process.returncode for process in crew.processes] == [130, 130]


@pytest.mark.slow
def test_two_workers_train_what_one_process_trains_and_a_dead_one_is_named(
    changed: Path, command_line: CommandLine
) -> None:
    """Worker 2 is killed after step 3: the run says so and ends with code 2, no process is left, and the same command
    goes on from the last checkpoint to the same curve as that of the finished project, within the tolerance."""
    whole = curve(changed)
    run = begun(changed)
    workers = after_steps(run, 3)
    assert len(workers) == 2
    workers[1].kill()
    out, _ = run.communicate(timeout=LONGEST_SECONDS)
    told = json.loads(out)
    assert run.returncode == told["exit_code"] == 2
    [problem] = told["problems"]
    assert problem["code"] == "worker-died"
    assert problem["message"].startswith(f"worker 2 of 2 (process {workers[1].pid}) was ended by SIGKILL")
    assert gone(workers)
    ended = command_line("run", changed, "--until", "tune", "--workers", "2", "--json")
    assert ended.code == 0, ended.err
    assert "resumed after step" in ended.err
    again = curve(changed)
    assert [point["loss"] for point in again] == pytest.approx([point["loss"] for point in whole], rel=LOSS, abs=LOSS)
    assert len(again) == len(whole) and not list(changed.glob(".tunesmith/scratch/*"))


@pytest.mark.slow
def test_ctrl_c_ends_all_after_they_saved_and_one_process_goes_on(changed: Path, command_line: CommandLine) -> None:
    run = begun(changed)
    workers = after_steps(run, 3)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=LONGEST_SECONDS)
    assert run.returncode == 130 and gone(workers)
    ended = command_line("run", changed, "--until", "tune", "--json")
    assert ended.code == 0 and "resumed after step" in ended.err


@pytest.mark.slow
def test_no_worker_outlives_a_parent_that_was_killed(changed: Path) -> None:
    run = begun(changed)
    workers = after_steps(run, 3)
    run.kill()
    run.communicate(timeout=LONGEST_SECONDS)
    assert gone(workers)


@pytest.mark.slow
def test_torchrun_goes_on_with_a_job_by_hand_and_the_next_run_takes_it_over(
    changed: Path, command_line: CommandLine
) -> None:
    run = begun(changed)
    after_steps(run, 3)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=LONGEST_SECONDS)
    [job] = changed.glob(".tunesmith/scratch/*/workers/job.json")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tunesmith.project.worker", str(job)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [line["event"]["data"]["step"] for line in told if line.get("event", {}).get("kind") == "metric"]
    assert steps and steps[0] > 3 and "artifact" in told[-1]
    ended = command_line("run", changed, "--until", "tune", "--json")
    assert ended.code == 0 and '"kind": "metric"' not in ended.err


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_told_as_one_process_tells_it(changed: Path, command_line: CommandLine) -> None:
    """A strategy that fits no weight of the model."""
    tune = {**settings()["tune"], "strategy": {"use": "lora", "roles": ["experts"], "rank": 4, "alpha": 8}}
    write_settings(changed, settings(tune=tune))
    ended = command_line("run", changed, "--until", "tune", "--workers", "2", "--json")
    assert (ended.code, ended.codes) == (2, ["strategy-does-not-fit"])
