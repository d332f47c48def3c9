"""Training: our loop (packed, prefix once, border states kept) against Transformers and PEFT with padded batches.

Both train the same LoRA with the same numbers in it from the start, on the same rows in the same order, with the same
rows in a step, learning rates and optimiser; so they must come to the same losses. Rates count the tokens of the rows,
no padding. Ours pays for the border states once: that time is spread over all its steps.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from bench._frame import Outcome, conversations

from tunesmith.core.events import Event, Events
from tunesmith.core.types import Profile
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, shared_prefix
from tunesmith.tune.checkpoint import Keeper
from tunesmith.tune.forward import PackedForward, choose_forward
from tunesmith.tune.loop import Seams, train
from tunesmith.tune.objective import Job, Objective
from tunesmith.tune.optimise import adamw, learning_rate_share, trained_weights
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.spec import TuneSpec
from tunesmith.tune.states import border_states

ROUNDS = 12
ROWS_PER_STEP = 8
EPOCHS = 2
SPEC = TuneSpec.model_validate(
    {
        "strategy": {"use": "lora", "rank": 16, "alpha": 32, "upper": 0.5},  # the recipe's
        "learning_rate": 0.001,
        "epochs": EPOCHS,
        "rows_per_step": ROWS_PER_STEP,
        "tokens_per_micro_batch": 4096,
        "checkpoint_every": "3600 s",
    }
)


def run(model: Path, rounds: int) -> Outcome:
    """An even number of training steps, each by our loop and then by the plain one: two passes over the rows."""
    rows = _rows(model, max(1, rounds // EPOCHS) * ROWS_PER_STEP)
    plan = Plan(
        rows=rows,
        rows_per_step=ROWS_PER_STEP,
        epochs=EPOCHS,
        prefix=shared_prefix(rows),
        micro_tokens=int(SPEC.tokens_per_micro_batch),
        seed=0,
    )
    outcome = Outcome("tokens/s", "transformers + peft, padded")
    plain = PlainLoop(_adapted(model), plan)
    ours: list[float] = []
    seconds: list[float] = []

    def in_turn(event: Event) -> None:
        """Our loop tells a step; now the plain one takes the same step."""
        if event.kind == "metric":
            tokens = plan_tokens(plan, event.data["step"] - 1)
            ours.append(event.data["loss"])
            seconds.append(tokens / event.data["tokens_per_second"])
            outcome.theirs.append(tokens / plain.step())

    with tempfile.TemporaryDirectory() as folder:
        seams, once = _seams(_adapted(model), plan, Path(folder), Events(in_turn))
        train(seams.forward.trunk.model, seams)  # type: ignore[attr-defined]
    share = once / plan.steps
    outcome.ours = [plan_tokens(plan, step) / (spent + share) for step, spent in enumerate(seconds)]
    apart = max(abs(a - b) for a, b in zip(ours, plain.losses, strict=True))
    outcome.notes = [
        f"{len(rows)} rows of {sum(len(r.ids) for r in rows) / len(rows):.0f} tokens, {plan.prefix} of them shared; "
        f"{ROWS_PER_STEP} rows a step, {EPOCHS} passes",
        f"border states: {once:.2f} s once, counted in the rates above",
        f"loss after {plan.steps} steps: {ours[-1]:.5f} ours, {plain.losses[-1]:.5f} plain; "
        f"never more than {apart:.1e} apart",
    ]
    return outcome


def plan_tokens(plan: Plan, step: int) -> int:
    """Tokens of the rows of a step, without padding."""
    return sum(len(plan.rows[number].ids) for number in plan.numbers(step))


class PlainLoop:
    """The loop that everybody writes: rows padded to the longest of the step, the model's own loss, AdamW.

    Args:
        model: a PEFT model.
        plan: which rows belong to which step.
    """

    def __init__(self, model: Any, plan: Plan) -> None:
        self.model, self.plan = model, plan
        self.weights = trained_weights(model)
        rate = float(SPEC.learning_rate)
        self.optimiser = adamw(self.weights, learning_rate=rate, weight_decay=SPEC.weight_decay)
        self.losses: list[float] = []

    def step(self) -> float:
        """Take the next step; the seconds it took."""
        number = len(self.losses)
        began = time.monotonic()
        share = learning_rate_share(number, self.plan.steps, warmup=SPEC.warmup, schedule=SPEC.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = float(SPEC.learning_rate) * share
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.model(**_padded([self.plan.rows[n] for n in self.plan.numbers(number)])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), SPEC.clip_norm)
        self.optimiser.step()
        self.losses.append(float(loss.detach()))
        return time.monotonic() - began


def _padded(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Ids, mask and labels [B, T], padded on the right; -100 where no loss is asked for."""
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = torch.tensor(row.ids)
        labels[place, list(row.trained)] = ids[place, list(row.trained)]
    lengths = torch.tensor([[len(row.ids)] for row in rows])
    return {"input_ids": ids, "attention_mask": (torch.arange(width)[None] < lengths).long(), "labels": labels}


def _rows(model: Path, count: int) -> list[Row]:
    chat = Chat.of(model)
    rows = []
    for number, messages in enumerate(conversations(count)):
        rendered = chat.render(messages)
        trained = tuple(place for place, has_loss in enumerate(rendered.trained) if has_loss)
        rows.append(Row(f"ex-{number}", tuple(rendered.ids), trained))
    return rows


def _adapted(folder: Path) -> Any:
    strategy = STRATEGIES.build(SPEC.strategy, where="tune.strategy")
    return strategy.apply(load_model(folder).requires_grad_(False), seed=0)


def _seams(model: Any, plan: Plan, folder: Path, events: Events) -> tuple[Seams, float]:
    """Our loop's seams, and the seconds that the border states took."""
    rows = list(plan.rows)
    forward, why = choose_forward(model, rows)
    if not isinstance(forward, PackedForward):
        raise SystemExit(f"this model cannot be packed, so there is nothing to compare: {why}")
    began = time.monotonic()
    states, _ = border_states(
        forward.trunk, rows, prefix=plan.prefix, folder=folder, progress=lambda batches, total: batches
    )
    once = time.monotonic() - began
    seams = Seams(
        spec=SPEC,
        plan=plan,
        forward=PackedForward(forward.trunk, states),
        objective=Objective.build(SPEC.objective, _job(model, forward, plan, folder)),
        keeper=Keeper(folder / "steps", lambda _: None),
        events=events,
    )
    return seams, once


def _job(model: Any, forward: PackedForward, plan: Plan, folder: Path) -> Job:
    """What terms are bound with; cross-entropy looks at none of it."""
    return Job(
        model=model,
        forward=forward,
        rows=plan.rows,
        batches=lambda numbers: [],
        folder=folder,
        events=Events(),
        seed=plan.seed,
        examples=dict,
        scorer=lambda _: None,  # type: ignore[arg-type, return-value]
        base_path=folder,
        profile=Profile(problem="bench", task="generation"),
    )
