"""Border states: the same numbers as the whole forward, made once, noticed when damaged."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tune_fakes import context_of, job_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.events import Event
from tunesmith.models.load import load_model
from tunesmith.models.trunk import Trunk
from tunesmith.tune import stage
from tunesmith.tune.batches import Plan, Row, Step, make_batch, shared_prefix
from tunesmith.tune.forward import PackedForward
from tunesmith.tune.objective import Objective
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.states import BorderStates, border_states

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5}


class Counter:
    """Passes batches through and counts them."""

    def __init__(self) -> None:
        self.batches = 0

    def __call__(self, batches: Iterable[Any], *, total: int) -> Iterator[Any]:
        for batch in batches:
            self.batches += 1
            yield batch


def trunk_of(tmp_path: Path, architecture: str = "llama") -> tuple[Any, Trunk]:
    model = load_model(Path(tiny_base(tmp_path, architecture).path))
    adapted = STRATEGIES.build(LORA).apply(model.requires_grad_(False), seed=0)
    torch.manual_seed(3)
    for weight in trained_weights(adapted).values():
        torch.nn.init.normal_(weight, std=0.05)
    return adapted, Trunk(adapted)


def states_of(trunk: Trunk, rows: list[Row], folder: Path) -> tuple[BorderStates, int]:
    counter = Counter()
    states, why = border_states(trunk, rows, prefix=shared_prefix(rows), folder=folder, progress=counter)
    assert states is not None and why == ""
    return states, counter.batches


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3"])
def test_kept_states_are_those_of_the_forward_whatever_is_packed_together(architecture: str, tmp_path: Path) -> None:
    _, trunk = trunk_of(tmp_path, architecture)
    rows = some_rows(9)
    states, _ = states_of(trunk, rows, tmp_path / "border")
    for numbers in ([3], [8, 0, 5], list(range(9))):
        batch = make_batch(rows, numbers, shared_prefix(rows))
        torch.testing.assert_close(states(batch), trunk.bottom(batch.ids, batch.layout), rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "deepseek_v2"])
def test_kept_states_give_the_gradients_of_the_whole_model(architecture: str, tmp_path: Path) -> None:
    adapted, trunk = trunk_of(tmp_path, architecture)
    rows = some_rows(6)
    states, _ = states_of(trunk, rows, tmp_path / "border")
    batch = make_batch(rows, range(6), shared_prefix(rows))
    plan = Plan(rows=rows, rows_per_step=6, epochs=1, prefix=shared_prefix(rows), micro_tokens=1000, seed=0)
    objective = Objective.build(spec().objective, job_of(adapted, PackedForward(trunk), plan, tmp_path / "job"))
    results = []
    for forward in (PackedForward(trunk, states), PackedForward(trunk)):
        adapted.zero_grad()
        value, _ = objective.backward(forward.predictions(batch), Step(0, 1, batch.items))
        grads = {name: weight.grad for name, weight in trained_weights(adapted).items() if weight.grad is not None}
        assert grads.keys() == trained_weights(adapted).keys()
        results.append((value, {name: grad.clone() for name, grad in grads.items()}))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for name, grad in results[0][1].items():
        torch.testing.assert_close(grad, results[1][1][name], rtol=1e-5, atol=1e-6)


def test_they_are_made_once_and_made_again_only_when_damaged_or_for_other_rows(tmp_path: Path) -> None:
    _, trunk = trunk_of(tmp_path)
    rows, folder = some_rows(9), tmp_path / "border"
    assert states_of(trunk, rows, folder)[1] == 1
    whole = (folder / "states.bin").read_bytes()
    assert states_of(trunk, rows, folder)[1] == 0
    (folder / "states.bin").write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert states_of(trunk, rows, folder)[1] == 1
    assert (folder / "states.bin").read_bytes() == whole
    assert states_of(trunk, some_rows(9, seed=5), folder)[1] == 1


def test_a_full_disk_is_told_and_the_bottom_is_run_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, trunk = trunk_of(tmp_path)
    monkeypatch.setattr("tunesmith.tune.states.DISK_SHARE", 0.0)
    states, why = border_states(trunk, some_rows(4), prefix=6, folder=tmp_path / "b", progress=Counter())
    assert states is None and "GB free" in why
    assert not (tmp_path / "b" / "states.bin").exists()


def test_the_bottom_is_never_run_again_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 training and 3 validation rows fit into one batch: one run of the bottom in 6 epochs, and one when tried."""
    runs = []
    bottom = Trunk.bottom

    def counted(self: Trunk, *inputs: Any) -> Any:
        runs.append(1)
        return bottom(self, *inputs)

    monkeypatch.setattr(Trunk, "bottom", counted)
    tokens = tokens_of(tmp_path / "tokens", some_rows(10), some_rows(3, seed=1))
    context = context_of(tmp_path)
    stage.run(
        spec(epochs=6),
        base=tiny_base(tmp_path),
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens,
        context=context,
    )
    assert len(runs) == 2


def test_valid_rows_with_another_system_prompt_are_measured_all_the_same(tmp_path: Path) -> None:
    strange = some_rows(3, seed=1, prefix=[301, 302])
    tokens = tokens_of(tmp_path / "tokens", some_rows(6), strange)
    context = context_of(tmp_path)
    made = stage.run(
        spec(epochs=1),
        base=tiny_base(tmp_path),
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens,
        context=context,
    )
    assert made.valid_loss is not None and made.valid_loss > 0


def test_ctrl_c_writes_a_checkpoint_and_the_next_run_goes_on_there(tmp_path: Path) -> None:
    base, tokens = tiny_base(tmp_path), tokens_of(tmp_path / "tokens", some_rows(10))
    section = spec(checkpoint_every="1000 steps")
    whole = context_of(tmp_path / "whole")
    stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=whole)

    heard: list[Event] = []
    context = context_of(tmp_path / "stopped", heard)

    def interrupt(event: Event) -> None:
        if event.kind == "metric" and event.data["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    with context.events.heard_by(interrupt), pytest.raises(KeyboardInterrupt):
        stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
    stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
    assert [event.message for event in heard if "resumed" in event.message] == ["resumed after step 2 of 6"]
    name = "adapter/adapter_model.safetensors"
    assert (context.out / name).read_bytes() == (whole.out / name).read_bytes()


def test_the_plan_of_batches_holds_each_rows_tokens_and_targets() -> None:
    """Row of 4 tokens, the last two trained; prefix 1: read are 1 2 3 (own 2 3); 3 is told by place 1, 4 by place 2."""
    rows = [Row("ex", (1, 2, 3, 4), (2, 3))]
    [batch] = Plan(rows=rows, rows_per_step=1, epochs=1, prefix=1, micro_tokens=100, seed=0).work(0)[1]
    assert batch.ids.tolist() == [[1, 2, 3]]
    assert (batch.sources.tolist(), batch.targets.tolist()) == ([1, 2], [3, 4])
