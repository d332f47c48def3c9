"""The loop: accumulation is exact, the schedule is the written one, what is not finite stops before the update."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from tune_fakes import context_of, some_rows, spec, tiny_base

from tunesmith.core.events import Event
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, make_batch, micro_batch_numbers, order, shared_prefix
from tunesmith.tune.checkpoint import Keeper
from tunesmith.tune.forward import PackedForward, PlainForward, choose_forward
from tunesmith.tune.loop import Seams, TrainingDiverged, mean_loss, train
from tunesmith.tune.objective import Objective, Predictions
from tunesmith.tune.optimise import learning_rate_share, trained_weights
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
    values: dict[str, Any] = {"forward": forward, "objective": Objective.build(spec().objective), **fields}
    return Seams(spec=spec(), plan=plan, keeper=keeper, events=context.events, **values)


def gradients(model: Any, plan: Plan) -> dict[str, torch.Tensor]:
    model.zero_grad()
    forward, _ = choose_forward(model, plan.rows)
    objective = Objective.build(spec().objective)
    batches = plan.batches(0)
    tokens = sum(len(batch.targets) for batch in batches)
    for batch in batches:
        objective.backward(forward.predictions(batch), tokens)
    return {name: weight.grad.clone() for name, weight in trained_weights(model).items() if weight.grad is not None}


@pytest.mark.parametrize("architecture", ["llama", "deepseek_v3"])
def test_the_gradient_of_a_step_does_not_depend_on_how_it_is_cut_into_micro_batches(
    architecture: str, tmp_path: Path
) -> None:
    model, rows = adapted(tmp_path, architecture), some_rows(8)
    whole = gradients(model, plan_of(rows, rows_per_step=8, micro_tokens=10_000))
    parts = gradients(model, plan_of(rows, rows_per_step=8, micro_tokens=30))
    assert len(plan_of(rows, rows_per_step=8, micro_tokens=30).batches(0)) > 2
    assert whole.keys() == parts.keys() == trained_weights(model).keys()
    scale = max(float(grad.abs().max()) for grad in whole.values())
    for name, grad in whole.items():
        assert float((grad - parts[name]).abs().max()) <= 1e-5 * scale, name


def test_packed_and_plain_forward_give_the_same_loss(tmp_path: Path) -> None:
    model, rows = adapted(tmp_path), some_rows(6)
    batch = make_batch(rows, range(6), shared_prefix(rows))
    plain = mean_loss(PlainForward(model, rows), [batch], model)
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
    """A forward that makes the hidden states of one micro-batch not a number."""

    name = "poisoned"

    def __init__(self, forward: Any, at: int) -> None:
        self.forward, self.left = forward, at

    def predictions(self, batch: Any) -> Predictions:
        made: Predictions = self.forward.predictions(batch)
        self.left -= 1
        return Predictions(made.hidden_ND * float("nan"), made.targets_N, made.head) if self.left < 0 else made


def test_a_loss_that_is_not_a_number_stops_before_the_update_and_names_step_and_rows(tmp_path: Path) -> None:
    rows = some_rows(8)
    model, plan = adapted(tmp_path), plan_of(rows, micro_tokens=10_000)
    seams = seams_of(model, plan, tmp_path)
    poisoned = Seams(**{**vars(seams), "forward": Poison(seams.forward, at=1)})
    with pytest.raises(TrainingDiverged, match="loss of step 2 is nan") as caught:
        train(model, poisoned)
    assert all(rows[number].id in str(caught.value) for number in plan.numbers(1))
    after = {name: weight.detach().clone() for name, weight in trained_weights(model).items()}
    assert all(bool(torch.isfinite(weight).all()) for weight in after.values())


def test_a_gradient_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    model, plan = adapted(tmp_path), plan_of(some_rows(8))
    name, weight = next(iter(trained_weights(model).items()))
    weight.register_hook(lambda grad: grad * float("inf"))  # type: ignore[no-untyped-call]
    before = weight.detach().clone()
    with pytest.raises(TrainingDiverged, match="gradient of step 1"):
        train(model, seams_of(model, plan, tmp_path))
    assert torch.equal(weight, before), name


def test_a_full_disk_is_told_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(8))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", lambda *_: full())
    outcome = train(model, seams_of(model, plan, tmp_path, heard))
    warnings = [event.message for event in heard if event.kind == "warning"]
    assert len(outcome.points) == plan.steps == 4
    assert len(warnings) == 2 and "step 2 could not be written" in warnings[0] and "No space left" in warnings[0]


def test_progress_tells_rate_and_time_left_and_metrics_tell_the_curve(tmp_path: Path) -> None:
    heard: list[Event] = []
    model, plan = adapted(tmp_path), plan_of(some_rows(8), epochs=1)
    outcome = train(model, seams_of(model, plan, tmp_path, heard))
    metrics = [event.data for event in heard if event.kind == "metric"]
    progress = [event.data for event in heard if event.kind == "progress"]
    assert metrics == outcome.points
    assert [p["done"] for p in progress] == [1, 2] and progress[-1]["total"] == 2
    assert progress[-1]["seconds_left"] == 0 and "tokens/s" in progress[0]["more"]
