"""Laws of every strategy, on every architecture; what a strategy refuses is listed, with the reason it must give."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from fakes import tiny_model_folder
from tunesmith.core.ids import digest_folder
from tunesmith.models.adapters import merged, open_trained, save_model, save_trained
from tunesmith.models.load import load_model
from tunesmith.models.roles import layer_of
from tunesmith.models.shape import shape_of_folder, with_weights
from tunesmith.tune.rules import STRATEGIES, resolve
from tunesmith.tune.spec import TuneSpec

ARCHITECTURES = [
    "llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3", "deepseek_v4", "phi3", "gpt_neox", "gpt2", "opt",
]  # fmt: skip
LAYERS = 4
IDS = torch.randint(4, 300, (1, 160), generator=torch.Generator().manual_seed(0))
"""Long enough for every routed expert to be in use, and for DeepSeek-V4 to compress its keys (128 to 1)."""

REFUSED = {
    **{("qlora", name): "routed experts" for name in ("deepseek_v2", "deepseek_v3", "deepseek_v4")},
    ("blockwise", "gpt2"): "Conv1D",
    ("blockwise", "opt"): "feed-forward part",
}
PAIRS = [(name, architecture) for name in STRATEGIES.names() for architecture in ARCHITECTURES]
TRAINED = [pair for pair in PAIRS if pair not in REFUSED]

over_pairs = pytest.mark.parametrize(("name", "architecture"), TRAINED)
over_some_pairs = pytest.mark.parametrize(
    ("name", "architecture"),
    [
        pytest.param(
            name,
            architecture,
            marks=() if name == "layered" or architecture in ("llama", "deepseek_v3") else pytest.mark.slow,
        )
        for name, architecture in TRAINED
    ],
)
"""Every strategy on two architectures and one on all of them; the rest with `-m slow`."""


class Size:
    parameters = 50_000
    context = 512


@cache
def strategy(name: str) -> Any:
    filled, _ = resolve(TuneSpec.model_validate({"strategy": {"use": name}}), Size(), 100)
    return STRATEGIES.build(filled.strategy)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Path, Any]]:
    """The folder of a tiny model, and a frozen model of one's own, loaded as the strategy wants it."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def loaded(architecture: str, weights: Any) -> tuple[Path, Any]:
        path = tiny_model_folder(folder, architecture, num_hidden_layers=LAYERS)
        return path, load_model(path, weights=weights).requires_grad_(False)

    def own(name: str, architecture: str) -> tuple[Path, Any]:
        weights = strategy(name).weight_format
        if weights == "nf4" and find_spec("bitsandbytes") is None:
            pytest.skip("needs bitsandbytes: pip install 'tunesmith[qlora]'")
        path, model = loaded(architecture, weights)
        return path, copy.deepcopy(model)

    return own


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=IDS).logits
    return out


def moved(adapted: Any) -> Any:
    """As if it had been trained: every trained weight is another one."""
    chance = torch.Generator().manual_seed(1)
    for weight in trained_weights(adapted).values():
        torch.nn.init.normal_(weight, std=0.1, generator=chance)
    return adapted


@over_pairs
def test_fresh_it_answers_as_the_base_and_only_its_band_learns_all_of_it(
    name: str, architecture: str, made: Any
) -> None:
    """No trained weight is below the border and one is right above it; each gets a gradient; their number was told.

    Norms are trained by full tuning only.
    """
    path, model = made(name, architecture)
    before, border = logits(model), strategy(name).border(LAYERS)
    adapted = strategy(name).apply(model, seed=0)
    torch.testing.assert_close(logits(adapted), before, rtol=0, atol=1e-6)

    trained = trained_weights(adapted)
    assert min(layer for key in trained if (layer := layer_of(key)) is not None) == border
    shape = with_weights(shape_of_folder(path), path)
    assert sum(weight.numel() for weight in trained.values()) == strategy(name).trainable(shape)
    assert any("norm" in key or ".ln_" in key for key in trained) == (not strategy(name).beside)

    moved(adapted)(input_ids=IDS).logits.logsumexp(-1).sum().backward()
    assert not [key for key, weight in trained.items() if weight.grad is None or not weight.grad.any()]
    assert not [key for key, weight in adapted.named_parameters() if weight.grad is not None and key not in trained]


def elsewhere(checkpoint: Path, form: str, *, base: Path, packed: bool) -> Any:
    """What anybody else would load, with PEFT and Transformers alone."""
    if form == "model":
        return AutoModelForCausalLM.from_pretrained(checkpoint / form, dtype=torch.float32).eval()
    options: dict[str, Any] = {"dtype": torch.float32}
    if packed:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
        )
    model = AutoModelForCausalLM.from_pretrained(base, **options)
    for module in model.modules():
        module.support_avx512bf16_for_cpu = False  # where a CPU has it, bitsandbytes would round scales to bf16
    return PeftModel.from_pretrained(model, str(checkpoint / form)).eval()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@over_some_pairs
def test_what_is_saved_opens_without_us_and_answers_alike(
    name: str, architecture: str, made: Any, tmp_path: Path
) -> None:
    """In plain PEFT or Transformers, in our reader, merged into one plain model; the same weights, the same bytes."""
    path, model = made(name, architecture)
    before = logits(model)
    adapted = moved(strategy(name).apply(model, seed=0))
    wanted = logits(adapted)
    assert float((wanted - before).abs().max()) > 1e-3
    form, packed = save_trained(adapted, tmp_path, base_path=str(path)), strategy(name).weight_format == "nf4"
    torch.testing.assert_close(logits(elsewhere(tmp_path, form, base=path, packed=packed)), wanted, rtol=0, atol=1e-6)
    ours = open_trained(tmp_path, base_path=path, dtype=torch.float32)
    torch.testing.assert_close(logits(ours), wanted, rtol=0, atol=1e-5)
    if form == "adapter":
        save_model(merged(ours), tmp_path / "merged", base_path=path)
        whole = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
        torch.testing.assert_close(logits(whole), wanted, rtol=0, atol=1e-5)
    again = tmp_path / "again"
    again.mkdir()
    save_trained(adapted, again, base_path=str(path))
    assert digest_folder(again / form) == digest_folder(tmp_path / form)


@pytest.mark.parametrize(("name", "architecture"), [pair for pair in PAIRS if pair in REFUSED])
def test_what_it_cannot_train_it_refuses_with_the_reason_before_and_at_training(
    name: str, architecture: str, tmp_path: Path
) -> None:
    path = tiny_model_folder(tmp_path, architecture, num_hidden_layers=LAYERS)
    with pytest.raises(ValueError, match=REFUSED[name, architecture]):
        strategy(name).trainable(with_weights(shape_of_folder(path), path))
    model = load_model(path).requires_grad_(False)
    model.is_loaded_in_4bit = True
    with pytest.raises(ValueError, match=REFUSED[name, architecture]):
        strategy(name).apply(model, seed=0)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_the_seed_decides_the_start_and_the_global_random_state_is_left_alone(name: str, made: Any) -> None:
    starts = []
    for seed in (0, 0, 1):
        model, before = made(name, "llama")[1], torch.get_rng_state()
        adapted = strategy(name).apply(model, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        starts.append(torch.cat([weight.detach().flatten() for weight in trained_weights(adapted).values()]))
    assert torch.equal(starts[0], starts[1])
    assert torch.equal(starts[0], starts[2]) == (not strategy(name).beside)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_its_settings_build_it_again(name: str) -> None:
    assert STRATEGIES.build(strategy(name).settings()) == strategy(name)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_auto_must_be_filled_first(name: str, made: Any) -> None:
    unfilled = STRATEGIES.build(name)
    if "auto" not in unfilled.settings().values():
        pytest.skip("nothing of it is filled by the rule table")
    with pytest.raises(ValueError, match="rule table"):
        unfilled.apply(made(name, "llama")[1], seed=0)
