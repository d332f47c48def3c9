"""Arithmetic in bfloat16: what is trained is kept in float32, so that nothing small is lost, and saved in bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_tune_stage import curve, logits
from torch import Tensor
from transformers import AutoModelForCausalLM
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.types import Base, Checkpoint
from tunesmith.models.adapters import load_adapter, save_model
from tunesmith.models.load import load_model
from tunesmith.tune import precision, stage
from tunesmith.tune.batches import make_batch, shared_prefix
from tunesmith.tune.forward import PackedForward, choose_forward
from tunesmith.tune.loop import _Run
from tunesmith.tune.optimise import adamw, trained_weights
from tunesmith.tune.precision import mix, settle, untried
from tunesmith.tune.rules import STRATEGIES

USES: dict[str, dict[str, Any]] = {
    "full": {"use": "full"},
    "full with head": {"use": "full", "head": "trained"},
    "layered": {"use": "layered", "rank": 4, "alpha": 8, "frozen": 0.25, "adapted": 0.5},
    "lora": {"use": "lora", "rank": 4, "alpha": 8},
    "blockwise": {"use": "blockwise", "rank": 1, "alpha": 2},
    "adaptive": {"use": "adaptive", "rank": 4, "alpha": 8},
}


def adapted(folder: Path, use: dict[str, Any], dtype: torch.dtype = torch.bfloat16) -> Any:
    model = load_model(folder, dtype=dtype).requires_grad_(False)
    made = STRATEGIES.build(use).apply(model, seed=0)
    mix(made, dtype, "cpu")
    return made


def test_a_thousand_updates_that_bf16_would_lose_are_kept(tmp_path: Path) -> None:
    """A norm's weights are 1; under a constant gradient AdamW takes 1e-5 a step: 0.99 after 1,000.

    bfloat16 has steps of 2^-8 = 0.0039 below 1, so there 1 - 1e-5 is 1, a thousand times. What is saved is 0.99 to the
    nearest such step: 253 / 256 = 0.98828125.
    """
    base = tiny_base(tmp_path)
    model = adapted(Path(base.path), {"use": "full"})
    kept, lost = model.model.norm.weight, torch.ones(32, dtype=torch.bfloat16, requires_grad=True)
    ours = adamw({"norm": kept}, learning_rate=1e-5, weight_decay=0.0)
    theirs = torch.optim.AdamW([lost], lr=1e-5, weight_decay=0.0)
    for _ in range(1000):
        kept.grad, lost.grad = torch.ones_like(kept), torch.ones_like(lost)
        ours.step()
        theirs.step()
    assert torch.equal(lost, torch.ones_like(lost))
    torch.testing.assert_close(kept.detach(), torch.full((32,), 0.99), rtol=0, atol=5e-5)

    settle(model, torch.bfloat16)
    save_model(model, tmp_path / "saved", base_path=Path(base.path))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert {weight.dtype for weight in plain.parameters()} == {torch.bfloat16}
    assert plain.model.norm.weight.tolist() == [0.98828125] * 32


def test_the_optimiser_refuses_weights_of_16_bits() -> None:
    with pytest.raises(ValueError, match="not in float32"):
        adamw({"w": torch.ones(2, dtype=torch.bfloat16)}, learning_rate=1.0, weight_decay=0.0)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3"])
@pytest.mark.parametrize("name", ["full", "full with head", "layered"])
def test_trained_weights_are_in_float32_beside_frozen_ones_in_bf16_and_rows_still_go_packed(
    name: str, architecture: str, tmp_path: Path
) -> None:
    """Gradients come out in float32; loss and gradient are those of float32 arithmetic to 8 bits."""
    base, rows = tiny_base(tmp_path, architecture), some_rows(6)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        model = adapted(Path(base.path), USES[name], dtype)
        trained = trained_weights(model)
        assert {weight.dtype for weight in trained.values()} == {torch.float32}
        assert {w.dtype for n, w in model.named_parameters() if n not in trained} <= {dtype}
        forward, why = choose_forward(model, rows)
        assert isinstance(forward, PackedForward), why
        made = forward.predictions(make_batch(rows, range(6), shared_prefix(rows)))
        said = made.head(made.hidden_ND)
        assert said.dtype == dtype
        loss = torch.nn.functional.cross_entropy(said.float(), made.targets_N)
        torch.autograd.backward(loss)
        assert {weight.grad.dtype for weight in trained.values() if weight.grad is not None} == {torch.float32}
        gradient = torch.cat([w.grad.flatten() for w in trained.values() if w.grad is not None])
        results.append((loss.item(), gradient))
    (wanted, exact), (got, rounded) = results
    assert got == pytest.approx(wanted, rel=0.02)
    assert float(torch.nn.functional.cosine_similarity(exact, rounded, dim=0)) > 0.98


def trained(tmp_path: Path, base: Base, use: dict[str, Any], **settings: Any) -> Checkpoint:
    tokens = tokens_of(tmp_path / "tokens", some_rows(10), some_rows(3, seed=1))
    context = context_of(tmp_path / "run")
    section = spec(strategy=use, precision="bf16", epochs=4, learning_rate=0.02, **settings)
    made = stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
    return made.model_copy(update={"folder": context.out})


@pytest.mark.parametrize("name", USES)
def test_a_whole_training_learns_and_saves_the_models_own_weights_in_bf16_and_adapters_in_float32(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "computes_in_bf16", lambda device: True)
    base = tiny_base(tmp_path)
    made = trained(tmp_path, base, USES[name])
    assert made.loss_last < made.loss_first
    if name.startswith("full"):
        plain = AutoModelForCausalLM.from_pretrained(made.file("model"))
        assert {weight.dtype for weight in plain.parameters()} == {torch.bfloat16}
    else:
        weights = load_file(made.file("adapter/adapter_model.safetensors"))
        own = {key for key in weights if "lora_" not in key and "ranknum" not in key}
        assert {weights[key].dtype for key in weights.keys() - own if weights[key].is_floating_point()} == {
            torch.float32
        }
        assert bool(own) == (name == "layered")
        assert {weights[key].dtype for key in own} <= {torch.bfloat16}
        plain = load_adapter(load_model(Path(base.path), dtype=torch.bfloat16), made.file("adapter"))
    changed = logits(plain).float() - logits(load_model(Path(base.path), dtype=torch.bfloat16)).float()
    assert float(changed.abs().max()) > 1e-2


def test_a_killed_run_goes_on_bitwise_from_weights_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 steps; one run is stopped after 6 of them and begun again."""
    monkeypatch.setattr(precision, "computes_in_bf16", lambda device: True)
    base = tiny_base(tmp_path)
    curves: list[list[dict[str, float]]] = []
    weights: list[dict[str, Tensor]] = []
    for name, stop in (("whole", None), ("killed", 6)):
        folder = tmp_path / name
        if stop:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr("tunesmith.tune.loop._Run.advance", stopping(stop))
                trained(folder, base, USES["full"], checkpoint_every="1 steps")
        made = trained(folder, base, USES["full"], checkpoint_every="1 steps")
        curves.append(curve(made))
        weights.append(load_file(made.file("model/model.safetensors")))
    assert curves[0] == curves[1]
    assert all(torch.equal(weights[0][name], weight) for name, weight in weights[1].items())


def stopping(after: int) -> Any:
    advance = _Run.advance

    def until(run: Any) -> None:
        if run.step == after:
            raise KeyboardInterrupt
        advance(run)

    return until


@pytest.mark.parametrize("name", ["full", "lora"])
def test_routers_choose_in_float32_as_they_do_when_served(name: str, tmp_path: Path) -> None:
    model = adapted(Path(tiny_base(tmp_path, "deepseek_v3").path), USES[name])
    routers = [module for name, module in model.named_modules() if name.endswith("mlp.gate")]
    seen: list[torch.dtype] = []
    for router in routers:
        router.register_forward_hook(lambda _, inputs, out: seen.append((out[0] if type(out) is tuple else out).dtype))
    logits(model)
    assert seen == [torch.float32] * 3


def test_float32_is_left_as_it_was(tmp_path: Path) -> None:
    model = adapted(Path(tiny_base(tmp_path).path), USES["lora"], torch.float32)
    assert not any("forward" in vars(module) for module in model.modules())
    layer: Any = model.get_base_model().model.layers[-1].self_attn.q_proj
    assert layer.cast_input_dtype_enabled


def test_an_adapter_takes_inputs_as_they_are(tmp_path: Path) -> None:
    """PEFT would copy every input to float32; under autocast the small matrices are rounded instead."""
    model = adapted(Path(tiny_base(tmp_path).path), USES["lora"])
    seen: list[Tensor] = []
    layer: Any = model.get_base_model().model.layers[-1].self_attn.q_proj
    layer.lora_A["default"].register_forward_hook(lambda _, inputs, out: seen.extend((inputs[0], out)))
    logits(model)
    assert [states.dtype for states in seen] == [torch.bfloat16, torch.bfloat16]


def test_a_processor_with_units_for_bf16_says_what_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert "tune.precision = bf16" in untried("auto", "cpu")
    assert untried("fp32", "cpu") == untried("bf16", "cpu") == untried("auto", "cuda") == ""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert untried("auto", "cpu") == ""
