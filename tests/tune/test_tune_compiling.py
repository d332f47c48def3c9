"""Compiled layers: the same results, few versions of their code, and no run that ends because of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
from test_tune_loop import adapted
from test_tune_stage import curve
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import AttentionInterface
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.events import Event
from tunesmith.models import packing
from tunesmith.models.load import load_model
from tunesmith.models.trunk import base_model
from tunesmith.tune import phases, stage
from tunesmith.tune.batches import Batch, make_batch, shared_prefix
from tunesmith.tune.compiling import compile_layers, pays
from tunesmith.tune.forward import PlainForward, choose_forward, probe
from tunesmith.tune.loop import mean_loss
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.rules import STRATEGIES

# Dynamo looks at the gradient of what flows from one piece of a layer into the next, and torch warns it.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


@pytest.fixture(autouse=True)
def dynamo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dynamo as it was: what it compiled, its settings, and the attention that it was told to leave alone."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)  # pytest would have it write all down
    settings: Any = torch._dynamo.config
    before = settings.recompile_limit, settings.suppress_errors
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    settings.recompile_limit, settings.suppress_errors = before
    AttentionInterface.register(packing.NAME, packing.packed_attention)


def batches() -> list[Batch]:
    """Five micro-batches, no two of the same length."""
    rows = some_rows(15)
    prefix = shared_prefix(rows)
    return [make_batch(rows, range(start, start + 1 + start % 3), prefix) for start in (0, 3, 5, 8, 11)]


def whole(tmp_path: Path, architecture: str = "llama") -> Any:
    """Without adapters: dynamo reads Transformers' code alone, which takes it a tenth of the time."""
    model = load_model(Path(tiny_base(tmp_path, architecture, num_hidden_layers=2).path)).requires_grad_(False)
    return STRATEGIES.build({"use": "full"}).apply(model, seed=0)


@pytest.mark.parametrize(
    ("make", "architecture", "backend"),
    [
        (whole, "llama", "eager"),
        pytest.param(whole, "llama", "aot_eager", marks=pytest.mark.slow),
        pytest.param(adapted, "llama", "aot_eager", marks=pytest.mark.slow),
        pytest.param(adapted, "deepseek_v3", "aot_eager", marks=pytest.mark.slow),
    ],
)
def test_compiled_layers_give_the_same_states_and_gradients_and_new_lengths_do_not_compile_anew(
    make: Any, architecture: str, backend: str, tmp_path: Path
) -> None:
    """All layers of a kind share their code, so no number of layers or lengths adds to it."""
    results = []
    for counter in (None, CompileCounterWithBackend(backend)):
        model = make(tmp_path, architecture)
        forward, _ = choose_forward(model, some_rows(4))
        if counter:
            assert compile_layers(forward, model, probe(some_rows(4)), backend=counter) == ""
            assert all(layer._compiled_call_impl for layer in base_model(model).get_decoder().layers)
            assert all(weight.grad is None for weight in trained_weights(model).values())
        counts = []
        for batch in batches():
            states = forward.predictions(batch).states_TD
            torch.autograd.backward(states.square().mean())
            counts.append(counter.frame_count if counter else 0)
        assert counts == counts[:1] * 5 and bool(counts[0]) == bool(counter)
        results.append((states.detach(), {name: weight.grad for name, weight in trained_weights(model).items()}))
    (plain, wanted), (compiled, got) = results
    torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-5)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-6)


def refuse(*_: Any) -> Any:
    raise RuntimeError("no compiler here\nand more")


def garble(graph: Any, _: Any) -> Any:
    def run(*inputs: Any) -> tuple[Any, ...]:
        return tuple(
            made + 1 if torch.is_tensor(made) and made.is_floating_point() else made for made in graph(*inputs)
        )

    return run


@pytest.mark.parametrize(("backend", "told"), [(refuse, "no compiler here"), (garble, "differ from plain ones")])
def test_what_cannot_be_compiled_or_comes_out_otherwise_runs_as_before(backend: Any, told: str, tmp_path: Path) -> None:
    model, [batch, *_] = whole(tmp_path), batches()
    forward, _ = choose_forward(model, some_rows(4))
    before = mean_loss(forward, [batch], model)
    assert told in compile_layers(forward, model, probe(some_rows(4)), backend=backend)
    assert not any(layer._compiled_call_impl for layer in base_model(model).get_decoder().layers)
    assert mean_loss(forward, [batch], model) == before
    assert "one at a time" in compile_layers(PlainForward(model), model, batch)


def test_a_run_with_compiled_layers_has_the_curve_of_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two phases: the second finds the layers compiled. A failing compiler is told and the run goes on."""
    base = tiny_base(tmp_path, num_hidden_layers=2)
    curves: list[list[float]] = []
    backends: dict[str, Any] = {"off": None, "on": "eager", "fails": refuse}
    tokens = tokens_of(tmp_path / "tokens", some_rows(10), some_rows(3, seed=1))
    heard: list[Event] = []
    for name, backend in backends.items():
        monkeypatch.setattr(phases, "compile_layers", partial(compile_layers, backend=backend))
        torch._dynamo.reset()
        speed = {"compile": "off" if name == "off" else "on"}
        section = spec(strategy={"use": "full"}, speed=speed, phases=[{"epochs": 1}, {"epochs": 1}], learning_rate=1e-3)
        context = context_of(tmp_path / name, heard if name == "fails" else None)
        made = stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
        curves.append([p["loss"] for p in curve(made.model_copy(update={"folder": context.out}))])
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[2] == curves[0]
    warnings = [event.message for event in heard if event.kind == "warning"]
    assert len(warnings) == 2 and all("layers are not compiled" in message for message in warnings)


def test_auto_compiles_where_it_pays() -> None:
    assert pays("auto", minutes=10, fp8=False) and not pays("auto", minutes=9, fp8=False)
    assert pays("auto", minutes=1, fp8=True)
    assert pays("on", minutes=0, fp8=False) and not pays("off", minutes=99, fp8=True)
