"""Laws of every strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from fakes import tiny_model_folder
from tunesmith.models.trunk import base_model, lowest_trained_layer
from tunesmith.tune.rules import STRATEGIES, resolve
from tunesmith.tune.spec import TuneSpec

ARCHITECTURES = ["llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3"]
IDS = torch.tensor([[5, 9, 3, 17, 40, 2, 100, 33]])


class Shape:
    parameters = 50_000
    context = 512


def strategy(name: str) -> Any:
    filled, _ = resolve(TuneSpec.model_validate({"strategy": {"use": name}}), Shape(), 100)
    return STRATEGIES.build(filled.strategy)


def model(tmp_path: Path, architecture: str) -> Any:
    folder = tiny_model_folder(tmp_path, architecture, num_hidden_layers=3)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", STRATEGIES.names())
def test_a_fresh_strategy_answers_as_the_base_does(name: str, architecture: str, tmp_path: Path) -> None:
    plain = model(tmp_path, architecture)
    with torch.no_grad():
        before = plain(input_ids=IDS).logits
        after = strategy(name).apply(plain, seed=0)(input_ids=IDS).logits
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", STRATEGIES.names())
def test_only_the_band_is_trained_and_all_of_it_can_be_reached(name: str, architecture: str, tmp_path: Path) -> None:
    """Upper half of 3 layers: the 2 upper ones, so the border is layer 1."""
    adapted = strategy(name).apply(model(tmp_path, architecture), seed=0)
    assert lowest_trained_layer(base_model(adapted).get_decoder()) == strategy(name).border(3) == 1
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    for weight in trained:
        torch.nn.init.normal_(weight, std=0.1)
    adapted(input_ids=IDS).logits.logsumexp(-1).sum().backward()
    assert trained and all(weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in trained)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_the_seed_decides_the_start_and_the_global_random_state_is_left_alone(name: str, tmp_path: Path) -> None:
    starts = []
    for seed in (0, 0, 1):
        before = torch.get_rng_state()
        adapted = strategy(name).apply(model(tmp_path, "llama"), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        starts.append(torch.cat([w.flatten() for w in adapted.parameters() if w.requires_grad]))
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_auto_must_be_filled_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rule table"):
        STRATEGIES.build(name).apply(model(tmp_path, "llama"), seed=0)
