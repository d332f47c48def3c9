"""The benchmarks' command line: what it knows, what it refuses, and that every benchmark says what it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def called(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_help_shows_examples_and_every_benchmark() -> None:
    told = called("--help").stdout
    assert "./dev bench peers --only trl --rows 400" in told
    for name in ("data", "floor", "generation", "layered", "peers"):
        assert f"\n  {name} " in told


def test_what_cannot_be_asked_for_is_told() -> None:
    unknown = called("pears")
    told = "there are data, detection, effects, floor, generation, layered, options, paths, peers, reasoning, reports"
    assert unknown.returncode == 2 and told in unknown.stderr
    assert "at least 2" in called("peers", "--rounds", "1").stderr
    assert "must be at least 1" in called("peers", "--rows", "0").stderr
    assert "torch finds no GPU here" in called("peers", "--device", "cuda").stderr
