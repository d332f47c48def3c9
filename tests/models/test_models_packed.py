"""Packed weights: the same products, the head's own copy, and where they are left alone."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
from torch import nn

from fakes import tiny_model_folder
from tunesmith.models.engines import into_engine
from tunesmith.models.load import load_model
from tunesmith.models.packed import PackedLinear, can_pack, pack

needs_packing = pytest.mark.skipif(not can_pack(), reason="needs oneDNN on an x86 processor")


@needs_packing
@pytest.mark.parametrize("rows", [1, 8, 64, 513])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_products_for_any_number_of_rows(dtype: torch.dtype, rows: int) -> None:
    """Against float64. A sum of 49 products in float32, in any order, is off by at most 49 roundings of the sum of
    their sizes (Higham, Accuracy and Stability, section 3.1); bfloat16 is rounded once more at the end.
    """
    torch.manual_seed(0)
    linear = nn.Linear(48, 40).requires_grad_(False).to(dtype)
    states = torch.randn(rows, 3, 48).to(dtype)
    exact = states.double() @ linear.weight.double().T + linear.bias.double()
    with torch.inference_mode():
        made = PackedLinear(linear)(states)
    assert made.dtype == dtype and made.shape == (rows, 3, 40)
    sizes = states.double().abs() @ linear.weight.double().abs().T + linear.bias.double().abs()
    rounding = 49 * torch.finfo(torch.float32).eps * sizes + torch.finfo(dtype).eps * exact.abs()
    assert bool(((made - exact).abs() <= rounding).all())


@needs_packing
def test_a_whole_model_with_a_head_that_shares_its_weights(tmp_path: Path) -> None:
    """Every linear layer is packed, the embedding keeps its rows, and logits stay those of the plain model."""
    folder = tiny_model_folder(tmp_path, "llama", initializer_range=0.3)
    plain, model = load_model(folder), load_model(folder)
    linear = sum(type(module) is nn.Linear for module in model.modules())
    assert pack(model) == linear
    assert isinstance(model.get_output_embeddings(), PackedLinear)
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    ids = torch.arange(4, 60)[None]
    with torch.inference_mode():
        assert torch.allclose(model(input_ids=ids).logits, plain(input_ids=ids).logits, atol=1e-5, rtol=1e-5)


def test_on_another_processor_nothing_is_packed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not can_pack()
    model = into_engine(load_model(tiny_model_folder(tmp_path, "llama")), "exact")
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
