"""Faster arithmetic for answering: what 8 bits keep, what they never touch, and who may ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fakes import tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.types import Message
from tunesmith.models import hardware
from tunesmith.models.answerer import open_model
from tunesmith.models.engines import Engine, engine_problem, into_engine, load_in_engine
from tunesmith.models.hardware import Gpu, Hardware
from tunesmith.models.int8 import Int8Linear, convert, rounded
from tunesmith.models.load import load_model
from tunesmith.models.prefix import can_share

ASK = [Message(role="system", content="Answer with the name."), Message(role="user", content="The capital?")]
ASK2 = [Message(role="system", content="Answer with the name."), Message(role="user", content="The diagnosis?")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("base"), "llama", initializer_range=0.3)


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies bfloat16, and no GPU."""
    machine = Hardware(cores=2, free_cores=2, memory_gb=8, free_gb=8, bf16="hardware", int8="hardware")
    monkeypatch.setattr(hardware, "look", lambda: machine)


def layer(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    made = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(weight))
        if bias is not None:
            made.bias.copy_(torch.tensor(bias))
    return made


def test_each_row_has_its_own_scale() -> None:
    """Of (127, 64, -1) the scale is 1; of (0.5, -0.25, 0) it is 0.5 / 127, and -0.25 becomes -63.5, rounded to -64.

    A row of zeros stays one.
    """
    whole, scales = rounded(torch.tensor([[127.0, 64.0, -1.0], [0.5, -0.25, 0.0], [0.0, 0.0, 0.0]]))
    assert whole.tolist() == [[127, 64, -1], [127, -64, 0], [0, 0, 0]]
    assert scales[:2, 0].tolist() == pytest.approx([1.0, 0.5 / 127])
    assert whole.dtype == torch.int8


def test_a_product_in_integers() -> None:
    """Weights (2, 1) and (0, -3): scales 2/127 and 3/127, integers (127, 64) and (0, -127). States (1, -0.5): scale
    1/127, integers (127, -64). First output 2/127 * 1/127 * (127*127 - 64*64) + 1, second 3/127 * 1/127 * 64*127 - 1.
    """
    made = Int8Linear(layer([[2.0, 1.0], [0.0, -3.0]], [1.0, -1.0]))(torch.tensor([[[1.0, -0.5]]]))
    assert made.shape == (1, 1, 2)
    expected = [2 * (127**2 - 64**2) / 127**2 + 1, 3 * 64 * 127 / 127**2 - 1]
    assert made[0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_a_large_value_spoils_its_own_row_only() -> None:
    """What a row comes to does not depend on the rows beside it: the outlier of the second leaves the first alone."""
    linear = Int8Linear(nn.Linear(16, 8, bias=False).requires_grad_(False))
    row, outlier = torch.randn(1, 16), torch.full((1, 16), 1000.0)
    assert torch.equal(linear(torch.cat([row, outlier]))[:1], linear(row))


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3"])
def test_every_linear_layer_computes_in_8_bits_but_routers(tmp_path: Path, architecture: str) -> None:
    """And likelihoods stay near those of float32."""
    model = load_model(tiny_model_folder(tmp_path, architecture))
    ids = torch.arange(4, 60)[None]
    with torch.inference_mode():
        before = model(input_ids=ids).logits.log_softmax(-1)
        linear = sum(type(module) is nn.Linear for module in model.modules())
        assert convert(model) == linear
        after = model(input_ids=ids).logits.log_softmax(-1)
    assert not any(type(module) is nn.Linear for module in model.modules())
    assert isinstance(model.get_output_embeddings(), Int8Linear)
    distance = float((before.exp() * (before - after)).sum(-1).mean())
    assert 0 < distance < 0.01


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize("engine", ["bf16", "int8"])
def test_an_engine_answers_nearly_as_the_exact_model(base: Path, engine: Engine) -> None:
    """Mean log-probability of an option within 2 %; in 8 bits an answer is the same alone and beside another question.

    In bfloat16 it need not be: sums that differ in their order round to other neighbours, and ties fall otherwise.
    """
    with open_model(base, name="exact") as exact, open_model(base, name="fast", engine=engine) as fast:
        assert can_share(fast.model, range(24))
        (wanted,), (found,) = (answerer.likelihood([ASK], [["yes", "no"]]) for answerer in (exact, fast))
        for one, other in zip(wanted, found, strict=True):
            assert other.per_token == pytest.approx(one.per_token, rel=0.02)
            assert other.per_token != one.per_token
        said = fast.answer([ASK, ASK2], at_most_tokens=5)
        alone = [fast.answer([ask], at_most_tokens=5)[0].text for ask in (ASK, ASK2)]
        assert engine == "bf16" or alone == [one.text for one in said]
        assert all(one.text and one.usage.prompt_tokens for one in said)


def test_bf16_leaves_the_frequencies_of_positions(base: Path) -> None:
    """Rounded to 8 bits of precision they would turn far positions by whole radians."""
    model: Any = into_engine(load_model(base), "bf16")
    assert model.dtype == torch.bfloat16
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.usefixtures("capable")
def test_the_same_folder_gives_the_same_rounded_model(base: Path) -> None:
    ids = torch.arange(4, 20)[None]
    with torch.inference_mode():
        one, other = (load_in_engine(base, "int8")(input_ids=ids).logits for _ in range(2))
        exact = load_in_engine(base, "exact")(input_ids=ids).logits
    assert torch.equal(one, other) and not torch.equal(one, exact)


def test_a_machine_that_has_not_the_engine_says_so(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Hardware(cores=2, free_cores=2, memory_gb=8, free_gb=8)
    monkeypatch.setattr(hardware, "look", lambda: plain)
    assert engine_problem("exact") is None
    with pytest.raises(UserError, match=r"reason\.engine: .*no-bf16"), open_model(base, name="x", engine="bf16"):
        pass
    with pytest.raises(UserError, match="no-int8"):
        load_in_engine(base, "int8")
    card = plain.model_copy(update={"gpus": (Gpu(name="H100", memory_gb=80, free_gb=80, capability=(9, 0)),)})
    monkeypatch.setattr(hardware, "look", lambda: card)
    assert engine_problem("bf16") is None
    problem = engine_problem("int8")
    assert problem and problem.code == "no-int8"
