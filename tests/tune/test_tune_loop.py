"""The loop: accumulation is exact, the schedule is the written one, what is not finite stops before the update."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from tune_fakes import context_of, job_of, some_rows, spec, tiny_base

from tunesmith.core.events import Event
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, make_batch, micro_batch_numbers, order, shared_prefix
from tunesmith.tune.checkpoint import Keeper, Saved
from tunesmith.tune.forward import PackedForward, PlainForward, choose_forward
from tunesmith.tune.incidents import TrainingDiverged
from tunesmith.tune.loop import Seams, mean_loss, train
from tunesmith.tune.objective import Objective, Predictions
from tunesmith.tune.optimise import adamw, learning_rate_share, state_tensors, trained_weights
from tunesmith.tune.rules import STRATEGIES

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5}


def adapted(tmp_path: Path, architecture: str = "llama") -> Any:
    model = load_model(Path(tiny_base(tmp_path, architecture).path))
    made = STRATEGIES.build(LORA).apply(model.requires_grad_(False), seed=0)
    torch.manual_seed(3)
    for weight in trained_weights(made).values():
        torch.nn.init.normal_(weight, std=0.05)
    return made


def plan_of(rows: list[Row], **fields: Any) -> Plan:
    values = {"rows_per_step": 4, "epochs": 2, "prefix": shared_prefix(rows), "micro_tokens": 40, "seed": 0, **fields}
    return Plan(rows=rows, **values)


def seams_of(model: Any, plan: Plan, folder: Path, heard: list[Event] | None = None, **fields: Any) -> Seams:
    forward, why = choose_forward(model, plan.rows)
    assert why == ""
    context = context_of(folder, heard)
    keeper = Keeper(context.scratch / "steps", lambda _: None)
    objective = Objective.build(spec().objective, job_of(model, forward, plan, folder))
    values: dict[str, Any] = {"forward": forward, "objective": objective, **fields}
    return Seams(spec=spec(), plan=plan, keeper=keeper, events=context.events, **values)


def gradients(model: Any, plan: Plan, folder: Path) -> dict[str, torch.Tensor]:
    model.zero_grad()
    forward, _ = choose_forward(model, plan.rows)
    objective = Objective.build(spec().objective, job_of(model, forward, plan, folder))
    step, batches = plan.work(0)
    for batch in batches:
        objective.backward(forward.predictions(batch), step)
    return {name: weight.grad.clone() for name, weight in trained_weights(model).items() if weight.grad is not None}


@pytest.mark.parametrize("architecture", ["llama", "deepseek_v3"])
def test_the_gradient_of_a_step_does_not_depend_on_how_it_is_cut_into_micro_batches(
    architecture: str, tmp_path: Path
) -> None:
    model, rows = adapted(tmp_path, architecture), some_rows(8)
    whole = gradients(model, plan_of(rows, rows_per_step=8, micro_tokens=10_000), tmp_path)
    parts = gradients(model, plan_of(rows, rows_per_step=8, micro_tokens=30), tmp_path)
    assert len(plan_of(rows, rows_per_step=8, micro_tokens=30).work(0)[1]) > 2
    assert whole.keys() == parts.keys() == trained_weights(model).keys()
    scale = max(float(grad.abs().max()) for grad in whole.values())
    for name, grad in whole.items():
        assert float((grad - parts[name]).abs().max()) <= 1e-5 * scale, name


def test_packed_and_plain_forward_give_the_same_loss(tmp_path: Path) -> None:
    model, rows = adapted(tmp_path), some_rows(6)
    batch = make_batch(rows, range(6), shared_prefix(rows))
    plain = mean_loss(PlainForward(model), [batch], model)
    forward, _ = choose_forward(model, rows)
    assert isinstance(forward, PackedForward)
    assert mean_loss(forward, [batch], model) == pytest.approx(plain, rel=1e-5)


def test_a_model_that_hides_the_layout_from_attention_is_run_plainly(tmp_path: Path) -> None:
    model, rows = adapted(tmp_path), some_rows(4)
    inner = model.get_base_model().model
    forward_of = inner.forward
    inner.forward = lambda *args, layout=None, **kwargs: forward_of(*args, **kwargs)
    forward, why = choose_forward(model, rows)
    assert isinstance(forward, PlainForward)
    assert "differ from the model's own" in why
    assert model.config._attn_implementation == "sdpa"


def test_the_schedule_by_hand() -> None:
    """10 steps, warm-up 0.2: w = 2 steps at 1/2 and 1; then n = 8 steps: linear 8/8, 7/8, ... 1/8."""
    shares = [learning_rate_share(step, 10, warmup=0.2, schedule="linear") for step in range(10)]
    assert shares == [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    cosine = [learning_rate_share(step, 10, warmup=0.2, schedule="cosine") for step in range(10)]
    assert cosine[2] == 1.0 and cosine[6] == pytest.approx(0.5) and cosine[9] > 0
    assert [learning_rate_share(step, 3, warmup=0.0, schedule="constant") for step in range(3)] == [1.0, 1.0, 1.0]
    assert learning_rate_share(0, 1, warmup=0.05, schedule="linear") == 1.0


def test_every_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    """10 rows in steps of 4: steps of 4, 4, 2."""
    plan = plan_of(some_rows(10))
    assert (plan.steps_per_epoch, plan.steps) == (3, 6)
    steps = [plan.numbers(step) for step in range(6)]
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*steps[:3])), list(chain(*steps[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert order(10, seed=1, epoch=0) != order(10, seed=0, epoch=0)


def test_micro_batches_keep_to_the_limit_and_hold_every_row() -> None:
    rows = some_rows(20)
    prefix = shared_prefix(rows)
    cut = micro_batch_numbers(rows, range(20), prefix, 40)
    assert sorted(chain(*cut)) == list(range(20))
    assert all(prefix + sum(len(rows[n].read) - prefix for n in part) <= 40 for part in cut)
    assert [len(part) for part in micro_batch_numbers(rows, range(3), prefix, 1)] == [1, 1, 1]


def test_the_shared_prefix_ends_before_trained_tokens_and_leaves_each_row_something_to_read() -> None:
    def row(*ids: int, trained: int) -> Row:
        return Row("ex", ids, (trained,))

    assert shared_prefix([row(1, 2, 3, 9, trained=3), row(1, 2, 4, 9, trained=3)]) == 2
    assert shared_prefix([row(1, 2, 3, 9, trained=3), row(1, 2, 3, 9, trained=3)]) == 2
    assert shared_prefix([row(1, 2, 3, 9, trained=3), row(1, 2, 3, 9, trained=1)]) == 0
    assert shared_prefix([]) == 0


class Poison:
    """A forward that makes the hidden states of chosen steps not a number."""

    name = "poisoned"

    def __init__(self, forward: Any, plan: Plan, *steps: int) -> None:
        self.forward, self.bad = forward, [frozenset(plan.numbers(step)) for step in steps]

    def predictions(self, batch: Any) -> Predictions:
        made: Predictions = self.forward.predictions(batch)
        bad = any(frozenset(batch.rows) <= rows for rows in self.bad)
        return replace(made, states_TD=made.states_TD * float("nan")) if bad else made


def trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in trained_weights(model).items()}


def test_a_batch_that_is_not_finite_is_named_and_set_aside_as_if_it_had_never_been(tmp_path: Path) -> None:
    """The other run is told beforehand to leave step 2 out; both end with the same weights, bit for bit."""
    rows, ends = some_rows(16), []
    for name, poisoned in (("poisoned", True), ("spared", False)):
        heard: list[Event] = []
        model, plan = adapted(tmp_path / name), plan_of(rows, epochs=1)
        seams = seams_of(model, plan, tmp_path / name, heard)
        if poisoned:
            seams = replace(seams, forward=Poison(seams.forward, plan, 1))
        else:
            seams.keeper.save(0, told_to_spare(model, seams, 1))
        outcome = train(model, seams)
        ends.append(trained(model))
        assert [point.get("set_aside", "") != "" for point in outcome.points] == [False, True, False, False]
        if poisoned:
            [incident] = [event for event in heard if event.kind == "incident"]
            assert "loss of step 2 is nan" in incident.message
            assert sorted(incident.data["rows"]) == sorted(rows[number].id for number in plan.numbers(1))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def told_to_spare(model: Any, seams: Seams, step: int) -> Saved:
    """The state before the first step, of a run that leaves `step` out."""
    torch.manual_seed(seams.plan.seed)
    weights = trained_weights(model)
    optimiser = adamw(weights, learning_rate=0.01, weight_decay=0.0)
    state = {"points": [], "seconds": 0.0, "micro_tokens": None, "rewinds": 0, "set_aside": {str(step): "asked"}}
    return Saved(state_tensors(weights, optimiser), state)


def test_nothing_but_bad_batches_is_a_training_that_diverged(tmp_path: Path) -> None:
    model, plan = adapted(tmp_path), plan_of(some_rows(32), epochs=1)
    before = trained(model)
    seams = seams_of(model, plan, tmp_path)
    with pytest.raises(TrainingDiverged, match=r"loss of step 3 is nan.* 3 steps were set aside"):
        train(model, replace(seams, forward=Poison(seams.forward, plan, *range(8))))
    assert all(torch.equal(weight, before[name]) for name, weight in trained(model).items())


def test_a_gradient_that_is_not_finite_is_set_aside_before_the_update(tmp_path: Path) -> None:
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(8), epochs=1)
    before = trained(model)
    weight = next(iter(trained_weights(model).values()))
    weight.register_hook(lambda grad: grad * float("inf"))  # type: ignore[no-untyped-call]
    outcome = train(model, seams_of(model, plan, tmp_path, heard))
    assert all("gradient of step" in point["set_aside"] for point in outcome.points) and len(outcome.points) == 2
    assert all(torch.equal(after, before[name]) for name, after in trained(model).items())


class Jump:
    """A forward whose logits are wild whenever the weights have taken the update of step `after`."""

    name = "jumping"

    def __init__(self, forward: Any, plan: Plan, *, after: int) -> None:
        self.forward, self.rows, self.seen = forward, frozenset(plan.numbers(after)), False

    def predictions(self, batch: Any) -> Predictions:
        made: Predictions = self.forward.predictions(batch)
        mine = frozenset(batch.rows) <= self.rows
        wild = self.seen and not mine
        self.seen = mine
        return replace(made, states_TD=made.states_TD * 300.0) if wild else made


def test_a_spike_takes_the_run_back_to_before_the_update_that_caused_it(tmp_path: Path) -> None:
    """Steps 7 and 8 (counted from 1) are set aside: the update of step 7 made the loss of step 8 jump."""
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(40), epochs=1, micro_tokens=10_000)
    seams = seams_of(model, plan, tmp_path, heard)
    outcome = train(model, replace(seams, forward=Jump(seams.forward, plan, after=6)))
    assert [point["step"] for point in outcome.points if "set_aside" in point] == [7, 8]
    assert outcome.rewinds == 1 and len(outcome.points) == 10
    [incident] = [event for event in heard if event.kind == "incident"]
    assert "loss of step 8 jumped" in incident.message and incident.data["back_to"] == 6


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_step(tmp_path: Path) -> None:
    """A memory of 45 tokens: micro-batches of 10,000 become of 26 and fit; the gradients of a step are the same."""
    ends = []
    for name, memory in (("small", 45), ("large", 10**6)):
        heard: list[Event] = []
        model, plan = adapted(tmp_path / name), plan_of(some_rows(8), epochs=1, micro_tokens=10_000)
        seams = seams_of(model, plan, tmp_path / name, heard)
        outcome = train(model, replace(seams, forward=Memory(seams.forward, memory)))
        ends.append((trained(model), [point["loss"] for point in outcome.points]))
        told = [event.data["micro_tokens"] for event in heard if event.kind == "incident"]
        assert (len(told) >= 1 and told[-1] <= 45) if name == "small" else not told
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-5)
    for name, weight in ends[0][0].items():
        torch.testing.assert_close(weight, ends[1][0][name], rtol=1e-3, atol=1e-5)


class Memory:
    """A forward that has room for so many tokens."""

    name = "small"

    def __init__(self, forward: Any, tokens: int) -> None:
        self.forward, self.tokens = forward, tokens

    def predictions(self, batch: Any) -> Predictions:
        if batch.ids.shape[1] > self.tokens:
            raise torch.OutOfMemoryError("no room")
        made: Predictions = self.forward.predictions(batch)
        return made


def test_a_full_disk_is_told_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(8))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tunesmith.tune.tensor_file.write_tensors", full)
    outcome = train(model, seams_of(model, plan, tmp_path, heard))
    warnings = [event.message for event in heard if event.kind == "warning"]
    assert len(outcome.points) == plan.steps == 4
    assert len(warnings) == 1 and "step 0 could not be written" in warnings[0] and "No space left" in warnings[0]


def test_progress_tells_rate_and_time_left_and_metrics_tell_the_curve(tmp_path: Path) -> None:
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(8), epochs=1)
    outcome = train(model, seams_of(model, plan, tmp_path, heard))
    metrics = [event.data for event in heard if event.kind == "metric"]
    progress = [event.data for event in heard if event.kind == "progress"]
    assert metrics == outcome.points
    assert [p["done"] for p in progress] == [1, 2] and progress[-1]["total"] == 2
    assert progress[-1]["seconds_left"] == 0 and "tokens/s" in progress[0]["more"]
