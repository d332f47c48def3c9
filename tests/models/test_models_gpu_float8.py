"""Products in 8 bits: who may have them, and (emulated, where torchao is installed) what they are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fakes import tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.models import float8, hardware
from tunesmith.models.hardware import Gpu, Hardware
from tunesmith.models.load import load_model
from tunesmith.tune import rules
from tunesmith.tune.precision import dtype_for
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.spec import TuneSpec

IDS = torch.tensor([[5, 9, 3, 17, 40, 2, 100, 33, 8, 61, 7, 77, 200]])
"""13 tokens: products that sum over them have to be padded to 16."""


def machine(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu, library: bool) -> None:
    seen = Hardware(cores=1, free_cores=1, memory_gb=1, free_gb=1, gpus=gpus)
    monkeypatch.setattr(hardware, "look", lambda: seen)
    monkeypatch.setattr(float8, "find_spec", lambda name: object() if library else None)


HOPPER = Gpu(name="H100", memory_gb=80, free_gb=80, capability=(9, 0))
AMPERE = Gpu(name="A100", memory_gb=80, free_gb=80, capability=(8, 0))


@pytest.mark.parametrize(
    ("gpus", "library", "told"),
    [
        ((), True, "there is no GPU"),
        ((AMPERE,), True, "the A100 has no units for it"),
        ((HOPPER,), False, "pip install 'tunesmith[fp8]'"),
    ],
)
def test_where_it_cannot_be_had_the_project_file_is_refused(
    gpus: tuple[Gpu, ...], library: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, *gpus, library=library)
    [problem] = rules.problems(TuneSpec(precision="fp8"))
    assert told in str(problem) and problem.path == "tune.precision"
    with pytest.raises(UserError) as caught:
        dtype_for("fp8", "cuda")
    assert told in str(caught.value)


def test_where_it_can_the_rest_is_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, HOPPER, library=True)
    assert rules.problems(TuneSpec(precision="fp8")) == []
    assert dtype_for("fp8", "cuda") == torch.bfloat16


# -- emulated ---------------------------------------------------------------------------------------


def made(tmp_path: Path, use: dict[str, Any], **size: Any) -> Any:
    if find_spec("torchao") is None:
        pytest.skip("needs torchao: pip install 'tunesmith[fp8]'")
    model = load_model(tiny_model_folder(tmp_path, **size), dtype=torch.bfloat16).requires_grad_(False)
    return STRATEGIES.build(use).apply(model, seed=0)


def eight_bits(model: Any) -> list[str]:
    return [name for name, module in model.named_modules() if type(module).__name__ == "Float8Linear"]


def logits(model: Any) -> Tensor:
    made: Tensor = model(input_ids=IDS, use_cache=False).logits.float()
    return made


def test_an_adapted_models_linear_layers_are_converted_but_for_head_and_adapter(tmp_path: Path) -> None:
    """7 linear layers in each of 2 layers; logits move by the rounding to 3 bits of fraction, and by no more."""
    model = made(tmp_path, {"use": "lora", "rank": 16, "alpha": 16, "upper": 1.0})
    before = logits(model)
    assert float8.convert(model, emulate=True) == 14 == len(eight_bits(model))
    assert all("base_layer" in name for name in eight_bits(model))
    after = logits(model)
    off = float(((after - before).abs().max() / before.abs().max()).detach())
    assert 1e-4 < off < 0.2
    torch.autograd.backward(after.square().mean())
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_full_tuning_has_gradients_near_those_of_whole_numbers_and_the_same_names(tmp_path: Path) -> None:
    gradients = []
    for convert in (False, True):
        model = made(tmp_path, {"use": "full"})
        if convert:
            names = [*model.state_dict()]
            assert float8.convert(model, emulate=True) == 14
            assert [*model.state_dict()] == names
        torch.autograd.backward(torch.nn.functional.cross_entropy(logits(model)[0, :-1], IDS[0, 1:]))
        gradients.append(model.model.layers[0].mlp.down_proj.weight.grad.float())
    plain, rounded = gradients
    cosine = torch.nn.functional.cosine_similarity(plain.flatten(), rounded.flatten(), dim=0)
    assert 0.9 < float(cosine) < 1.0


def test_a_model_of_odd_widths_is_refused(tmp_path: Path) -> None:
    model = made(tmp_path, {"use": "full"}, hidden_size=24, intermediate_size=40)
    with pytest.raises(UserError, match="multiples of 16"):
        float8.convert(model, emulate=True)
