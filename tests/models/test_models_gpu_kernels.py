"""Kernels put into a model: they stay in it alone, and only if it answers the same. Liger's own need a GPU."""

from __future__ import annotations

from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.llama import modeling_llama

from fakes import tiny_model_folder
from tunesmith.models.fused import fuse
from tunesmith.models.load import load_model

IDS = torch.tensor([[5, 9, 3, 17]])


def gated(module: Any, states: Tensor) -> Tensor:
    gate = module.gate_proj(states)
    made: Tensor = module.down_proj(gate * gate.sigmoid() * module.up_proj(states))
    return made


def put_in(model: Any, cross_entropy: bool = True, fused_linear_cross_entropy: bool = True) -> None:
    """As Liger does it: names of the architecture's module are replaced for everybody, and methods of this model."""
    assert not cross_entropy and not fused_linear_cross_entropy
    modeling_llama.apply_rotary_pos_emb = lambda *_, **__: pytest.fail("on a CPU")
    modeling_llama.LlamaMLP = type("Fast", (modeling_llama.LlamaMLP,), {})
    for layer in model.model.layers:
        layer.mlp.forward = MethodType(gated, layer.mlp)


def wrong(model: Any, **_: Any) -> None:
    put_in(model, cross_entropy=False, fused_linear_cross_entropy=False)
    for layer in model.model.layers:
        layer.mlp.forward = MethodType(lambda module, states: 2 * states, layer.mlp)


def broken(model: Any, **_: Any) -> None:
    put_in(model, cross_entropy=False, fused_linear_cross_entropy=False)
    raise RuntimeError("no driver\nmore")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("apply_rotary_pos_emb", "LlamaMLP"):
        monkeypatch.setattr(modeling_llama, name, getattr(modeling_llama, name))  # put back at the end
    return load_model(tiny_model_folder(tmp_path))


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        made: Tensor = model(input_ids=IDS).logits
    return made


def test_this_model_has_them_and_the_next_one_has_not(model: Any) -> None:
    """The rotation is one function for all models of the architecture: on a CPU it stays Transformers' own."""
    before, own = logits(model), modeling_llama.LlamaMLP
    assert fuse(model, put_in) == ""
    assert all("forward" in vars(layer.mlp) for layer in model.model.layers)
    assert modeling_llama.LlamaMLP is own
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("change", "told"), [(wrong, "differ by"), (broken, "RuntimeError: no driver")])
def test_what_fails_or_answers_otherwise_is_taken_out_again(model: Any, change: Any, told: str) -> None:
    before, rotation = logits(model), modeling_llama.apply_rotary_pos_emb
    assert told in fuse(model, change)
    assert not any("forward" in vars(module) for module in model.modules())
    assert modeling_llama.apply_rotary_pos_emb is rotation
    assert torch.equal(logits(model), before)


def test_an_architecture_that_has_none_is_told(model: Any) -> None:
    assert fuse(model, lambda **_: None) == "this architecture has none"


def test_routed_experts_are_left_alone(tmp_path: Path) -> None:
    model = load_model(tiny_model_folder(tmp_path, "deepseek_v3"))
    assert "routed experts" in fuse(model, lambda **_: pytest.fail("not to be asked"))
