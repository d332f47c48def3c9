"""The one training loop. Its seams are arguments: plan of batches, forward, objective, keeper, evaluation."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.tune.batches import Batch, Plan
from tunesmith.tune.checkpoint import Keeper, Saved
from tunesmith.tune.forward import Forward
from tunesmith.tune.objective import Objective
from tunesmith.tune.optimise import adamw, learning_rate_share, restore_tensors, state_tensors, trained_weights
from tunesmith.tune.spec import TuneSpec

STAGE = "tune"
Point = dict[str, Any]


class TrainingDiverged(UserError):
    """Loss or gradient is not a finite number; the weights are still those before the step."""


@dataclass(frozen=True)
class Seams:
    """What one training is made of.

    Args:
        spec: the section `tune` with every `auto` filled.
        plan: which rows belong to which step.
        forward: makes predictions of a micro-batch.
        objective: what is minimised.
        keeper: where step checkpoints go.
        events: who is told.
        evaluate: mean loss on the validation rows in nats per trained token; None: there are none.
    """

    spec: TuneSpec
    plan: Plan
    forward: Forward
    objective: Objective
    keeper: Keeper
    events: Events
    evaluate: Callable[[], float] | None = None


@dataclass(frozen=True)
class Outcome:
    """The curve, one point per step, and the time spent on all steps, those before an interruption included."""

    points: list[Point]
    seconds: float


def train(model: Any, seams: Seams) -> Outcome:
    """Train what requires gradient in `model`, from the newest checkpoint if there is one.

    The run that was interrupted and resumed is bitwise the run that was not: same weights, same curve (but for
    `tokens_per_second`). Ctrl-C finishes the step, writes a checkpoint and raises KeyboardInterrupt.

    Raises:
        TrainingDiverged: NaN or infinity in a loss or gradient; names step and rows, before anything is updated.
        KeyboardInterrupt: after the checkpoint.
    """
    spec, plan = seams.spec, seams.plan
    weights = trained_weights(model)
    optimiser = adamw(weights, learning_rate=float(spec.learning_rate), weight_decay=spec.weight_decay)
    points, before = _resume(seams, weights, optimiser)
    started = time.monotonic() - before
    due = _due(spec.checkpoint_every)
    with _interruptible() as stop:
        for step in range(len(points), plan.steps):
            began = time.monotonic()
            share = learning_rate_share(step, plan.steps, warmup=spec.warmup, schedule=spec.schedule)
            for group in optimiser.param_groups:
                group["lr"] = float(spec.learning_rate) * share
            optimiser.zero_grad(set_to_none=True)

            batches = plan.batches(step)
            tokens = sum(len(batch.targets) for batch in batches)
            terms = dict.fromkeys((name for name, _, _ in seams.objective.terms), 0.0)
            for batch in batches:
                values = seams.objective.backward(seams.forward.predictions(batch), tokens)
                _check("loss", seams.objective.total(values), step, [batch], plan)
                terms = {name: terms[name] + values[name] for name in terms}
            norm = float(torch.nn.utils.clip_grad_norm_(weights.values(), spec.clip_norm))
            _check("gradient", norm, step, batches, plan)
            optimiser.step()

            point: Point = {"step": step + 1, "epoch": (step + 1) / plan.steps_per_epoch}
            point |= {"loss": seams.objective.total(terms), **terms}
            point |= {"learning_rate": optimiser.param_groups[0]["lr"], "gradient_norm": norm, "trained_tokens": tokens}
            last = step + 1 == plan.steps
            if seams.evaluate and (last or (step + 1) % plan.steps_per_epoch == 0):
                point["valid_loss"] = seams.evaluate()
            point["tokens_per_second"] = sum(batch.tokens for batch in batches) / (time.monotonic() - began)
            points.append(point)
            _tell(seams, points, time.monotonic() - started)

            if last or stop.is_set() or due(step):
                state = {"points": points, "seconds": time.monotonic() - started}
                _save(seams, step + 1, Saved(state_tensors(weights, optimiser), state))
            if stop.is_set() and not last:
                raise KeyboardInterrupt
    return Outcome(points, time.monotonic() - started)


def _resume(seams: Seams, weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> tuple[list[Point], float]:
    """Put the newest checkpoint in force; its curve and its seconds, or an empty curve where there is none."""
    saved = seams.keeper.load()
    if saved is None:
        torch.manual_seed(seams.plan.seed)  # dropout draws from it; a resumed run takes the state that was saved
        return [], 0.0
    restore_tensors(saved.tensors, weights, optimiser)
    points = list(saved.state["points"])
    seams.events.tell("note", STAGE, f"resumed after step {len(points)} of {seams.plan.steps}", step=len(points))
    return points, float(saved.state["seconds"])


def _save(seams: Seams, step: int, saved: Saved) -> None:
    """Write a checkpoint. A full or failing disk is told and does not end the training: the older one stays whole."""
    try:
        seams.keeper.save(step, saved)
    except OSError as error:
        message = f"the checkpoint after step {step} could not be written ({error}); training goes on"
        seams.events.tell("warning", STAGE, message, step=step)


def _check(what: str, value: float, step: int, batches: list[Batch], plan: Plan) -> None:
    if math.isfinite(value):
        return
    rows = [plan.rows[number].id for batch in batches for number in batch.rows]
    shown = ", ".join(rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    found = f"the {what} of step {step + 1} is {value}, in rows {shown}; nothing was updated"
    hint = "lower tune.learning_rate, or look at these rows with `tunesmith data preview`"
    raise TrainingDiverged(Problem("training-diverged", found, hint, "tune.learning_rate", value=str(value)))


def _tell(seams: Seams, points: list[Point], seconds: float) -> None:
    point, steps = points[-1], seams.plan.steps
    seams.events.tell("metric", STAGE, **point)
    rate = point["tokens_per_second"]
    left = seconds / len(points) * (steps - len(points))
    more = f"loss {point['loss']:.3f}, {rate:,.0f} tokens/s"
    seams.events.tell(
        "progress", STAGE, "training", done=len(points), total=steps, unit="steps", more=more, seconds_left=left
    )


def _due(every: str) -> Callable[[int], bool]:
    """Whether a checkpoint is due after step `step`: `60 s` by the clock, `50 steps` by count."""
    number = int("".join(c for c in every if c.isdigit()))
    if "step" in every:
        return lambda step: (step + 1) % number == 0
    told = [time.monotonic()]

    def by_clock(_: int) -> bool:
        if time.monotonic() - told[0] < number:
            return False
        told[0] = time.monotonic()
        return True

    return by_clock


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one ends the process as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(*_: Any) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, first)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def mean_loss(forward: Forward, batches: list[Batch], model: Any) -> float:
    """Mean cross-entropy in nats per trained token over `batches`, dropout off, no gradient."""
    from tunesmith.tune.terms.cross_entropy import CrossEntropy

    term, total = CrossEntropy(), 0.0
    dropping = [module for module in model.modules() if module.training]
    for module in dropping:
        module.training = False
    try:
        with torch.no_grad():
            for batch in batches:
                total += float(term.sum(forward.predictions(batch)))
    finally:
        for module in dropping:
            module.training = True
    return total / sum(len(batch.targets) for batch in batches)
