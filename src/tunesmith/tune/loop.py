"""The one training loop. Its seams are arguments: work of each step, forward, objective, keeper, evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from tunesmith.core.events import Events
from tunesmith.core.ids import content_id
from tunesmith.core.interrupts import interruptible
from tunesmith.tune.batches import Batch, Step
from tunesmith.tune.checkpoint import Keeper, Saved
from tunesmith.tune.forward import Forward, at_rest
from tunesmith.tune.incidents import MOST_REWINDS, NotFinite, SetAside, is_spike, no_room
from tunesmith.tune.kernels import chunked_cross_entropy
from tunesmith.tune.objective import Companion, Objective
from tunesmith.tune.optimise import (
    adamw,
    learning_rate_share,
    random_state,
    restore_random,
    restore_tensors,
    state_tensors,
    trained_weights,
)
from tunesmith.tune.ranks import ALONE, Ranks, added, rows_differ
from tunesmith.tune.sharding import clip
from tunesmith.tune.spec import TuneSpec
from tunesmith.tune.tokens_likelihood import CHUNK_TOKENS

STAGE = "tune"
Point = dict[str, Any]
Values = dict[str, float]


class Work(Protocol):
    """What there is to do: `batches.Plan`, or something that makes rows while the training goes on."""

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass."""
        ...

    @property
    def seed(self) -> int:
        """Of everything that is random."""
        ...

    def work(self, step: int, micro_tokens: int | None = None) -> tuple[Step, list[Batch]]:
        """Step `step` and its micro-batches, of at most `micro_tokens` tokens where that is given."""
        ...


@dataclass(frozen=True)
class Seams:
    """What one training is made of.

    Args:
        spec: the section `tune` with every `auto` filled.
        plan: what there is to do.
        forward: makes predictions of a micro-batch.
        objective: what is minimised.
        keeper: where step checkpoints go.
        events: who is told.
        evaluate: mean loss on the validation rows in nats per trained token; None: there are none.
        companions: what else has a state: a strategy that moves, a sampler. Their penalties count in full.
        rate_of: weight name -> factor on the learning rate.
        phase: name of this part of the training; "" where there is only one.
        ranks: this process among those that share the work.
    """

    spec: TuneSpec
    plan: Work
    forward: Forward
    objective: Objective
    keeper: Keeper
    events: Events
    evaluate: Callable[[], float] | None = None
    companions: Mapping[str, Companion] = field(default_factory=dict)
    rate_of: Callable[[str], float] = lambda _: 1.0
    phase: str = ""
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Outcome:
    """The curve, one point per step, and the time spent on all steps, those before an interruption included.

    Args:
        points: of every step; one that was set aside has `set_aside`, the reason, instead of figures.
        seconds: spent.
        rewinds: how often a loss spike was rewound.
    """

    points: list[Point]
    seconds: float
    rewinds: int = 0


def train(model: Any, seams: Seams) -> Outcome:
    """Train what requires gradient in `model`, from the newest checkpoint if there is one.

    The run that was interrupted and resumed is bitwise the run that was not: same weights, same curve (but for
    `tokens_per_second`). Ctrl-C finishes the step, writes a checkpoint and raises KeyboardInterrupt.

    Several processes (`Seams.ranks`) give the curve of one within rounding: they share the micro-batches of each step.
    A checkpoint is the same whatever their number, and resumed by the same number of them the run is bitwise too.

    A step whose loss or gradient is not finite is set aside before anything is updated, and the run goes on as if it
    had been told so from the start. A spike of the loss takes the run back to before the step that caused it.

    Raises:
        TrainingDiverged: too many steps had to be set aside; the weights are those before the last of them.
        UserError: a single row does not fit into memory.
        KeyboardInterrupt: after the checkpoint.
    """
    run = _Run(model, seams)
    due = _due(seams.spec.checkpoint_every)
    with interruptible() as stop:
        while run.step < seams.plan.steps:
            run.advance()
            last = run.step == seams.plan.steps
            stopping, saving = seams.ranks.any(stop.is_set(), seams.ranks.main and due(run.step - 1))
            if last or stopping or saving:
                run.save()
            if stopping and not last:
                raise KeyboardInterrupt
    return Outcome(run.points, run.seconds(), run.aside.rewinds)


class _Run:
    """A training under way; `step` steps are done or set aside, one point each."""

    def __init__(self, model: Any, seams: Seams) -> None:
        self.seams, self.spec, self.plan, self.ranks = seams, seams.spec, seams.plan, seams.ranks
        self.weights = trained_weights(model)
        self.optimiser = adamw(
            self.weights,
            learning_rate=float(self.spec.learning_rate),
            weight_decay=self.spec.weight_decay,
            rate_of=seams.rate_of,
        )
        self.companions = {**seams.objective.companions(), **seams.companions}
        self.points: list[Point] = []
        self.aside = SetAside(self.plan.steps)
        self.micro_tokens: int | None = None
        self.told_full = False
        self.started = time.monotonic()
        torch.manual_seed(self.plan.seed)  # dropout draws from it; a resumed run takes the state that was saved
        with self.ranks.in_turn():
            saved = seams.keeper.load()
        self.ranks.same(saved and len(saved.state["points"]), "the checkpoint that they found")
        if saved is None:
            self.save()  # the start: a spike in the first steps is rewound to it
        else:
            self._restore(saved)
            self._told("note", f"resumed after step {self.step} of {self.plan.steps}", step=self.step)

    @property
    def step(self) -> int:
        return len(self.points)

    def seconds(self) -> float:
        """Spent so far, interrupted runs included."""
        return time.monotonic() - self.started

    def advance(self) -> None:
        """Take the next step, or set it aside, or go back."""
        step, began, before = self.step, time.monotonic(), random_state()
        if step in self.aside.steps:
            self._append({"step": step + 1, "set_aside": self.aside.steps[step]}, began)
            return
        self._set_learning_rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        point: Point | None = None
        try:
            point = self._gradients(step)
        except NotFinite as found:
            restore_random(before)
            self._set_aside(step, str(found), rows=found.rows)
            return
        except torch.OutOfMemoryError:
            pass  # what the failed pass still held is freed with the error, here
        if point is None:
            restore_random(before)
            self._halve(step)
            return
        if self.aside.rewinds < MOST_REWINDS and is_spike(self.points, point):
            self._rewind(step, point)
            return
        self.optimiser.step()
        for companion in self.companions.values():
            companion.after_step(step)
        last = step + 1 == self.plan.steps
        if self.seams.evaluate and (last or (step + 1) % self.plan.steps_per_epoch == 0):
            point["valid_loss"] = self.seams.evaluate()
        self._append(point, began)

    def _gradients(self, step: int) -> Point:
        """Forward and backward of all micro-batches; the point of the curve. Nothing is updated."""
        objective = self.seams.objective
        told, batches = self.plan.work(step, self.micro_tokens)
        objective.begin(told)
        with self.ranks.own_random(self.plan.seed, step):
            terms, norms = self._agreed(told, batches, self._passes(told, batches))
        self.ranks.sum_gradients(self.weights.values())
        terms |= objective.penalties(told)
        for companion in self.seams.companions.values():
            penalty = companion.penalty()
            if penalty is not None:
                torch.autograd.backward(penalty)
        norm = clip(self.weights.values(), self.spec.clip_norm)
        self._check("gradient", norm, step, told.items)
        objective.weighting.learn(terms, {name: math.sqrt(size) for name, size in norms.items()})
        point: Point = {"step": step + 1, "epoch": (step + 1) / self.plan.steps_per_epoch}
        point |= {"loss": objective.total(terms, told), **{name: terms.get(name, 0.0) for name in objective.names}}
        point |= objective.told()
        point |= {"learning_rate": self.optimiser.param_groups[0]["lr"], "gradient_norm": norm}
        tokens = {"tokens": sum(batch.tokens for batch in batches)}
        return point | {"trained_tokens": sum(len(row.trained) for row in told.items)} | tokens

    def _passes(self, told: Step, batches: list[Batch]) -> dict[str, Any]:
        """Forward and backward of this process's micro-batches; what all must know of them, as JSON values."""
        objective, bad, full = self.seams.objective, [], False
        terms: list[Values] = []
        norms: list[Values] = []
        try:
            for number, batch in self.ranks.share(batches):
                predictions = self.seams.forward.predictions(batch)
                if number is None:  # the other processes have one more
                    torch.autograd.backward(predictions.states_TD, torch.zeros_like(predictions.states_TD))
                    continue
                values, sizes = objective.backward(predictions, told)
                terms.append(values)
                norms.append(sizes)
                if not math.isfinite(objective.total(values, told)):
                    bad.append(number)
        except torch.OutOfMemoryError:
            if self.ranks.sharded:  # the others wait for a pass that will not come
                raise
            full = True
        found = {"terms": added(terms), "norms": added(norms), "bad": bad, "full": full, "rows": "", "seen": {}}
        if self.ranks.world > 1:
            found["rows"] = content_id("rows", [[row.id, row.ids] for row in told.items])
            found["seen"] = {name: gathered.as_json() for name, gathered in objective.gathered().items()}
        return found

    def _agreed(self, told: Step, batches: list[Batch], own: dict[str, Any]) -> tuple[Values, Values]:
        """The terms and squared norms of all processes added up.

        Raises:
            torch.OutOfMemoryError: one of them had no room.
            NotFinite: one of them met a loss that is not a number; in all of them.
            UserError: they do not train on the same rows.
        """
        everyone = self.ranks.exchange(own)
        if any(one["rows"] != own["rows"] for one in everyone):
            raise rows_differ(told.number)
        if any(one["full"] for one in everyone):
            raise torch.OutOfMemoryError
        terms = added(one["terms"] for one in everyone)
        bad = sorted({number for one in everyone for number in one["bad"]})
        items = tuple(row for number in bad for row in batches[number].items)
        if bad:
            self._check("loss", self.seams.objective.total(terms, told), told.number, items)
        if self.ranks.world > 1:
            for name, gathered in self.seams.objective.gathered().items():
                gathered.take([one["seen"][name] for one in everyone])
        return terms, added(one["norms"] for one in everyone)

    def save(self) -> None:
        """Write a checkpoint. A failing disk is told, once, and does not end the training: the older one stays."""
        tensors = state_tensors(self.weights, self.optimiser)
        for name, companion in self.companions.items():
            tensors |= {f"companion/{name}/{key}": value for key, value in companion.tensors().items()}
        if not self.ranks.main:
            return
        state = {"points": self.points, "seconds": self.seconds(), "micro_tokens": self.micro_tokens}
        try:
            self.seams.keeper.save(self.step, Saved(tensors, {**state, **self.aside.state()}))
            self.told_full = False
        except OSError as error:
            if not self.told_full:
                message = f"the checkpoint after step {self.step} could not be written ({error}); training goes on"
                self._told("warning", message, step=self.step)
            self.told_full = True

    def _restore(self, saved: Saved) -> None:
        """Weights, optimiser, random state, companions and curve of a checkpoint."""
        restore_tensors(saved.tensors, self.weights, self.optimiser)
        for name, companion in self.companions.items():
            start = f"companion/{name}/"
            companion.restore(
                {key[len(start) :]: value for key, value in saved.tensors.items() if key.startswith(start)}
            )
        self.points = list(saved.state["points"])
        self.micro_tokens = saved.state["micro_tokens"]
        self.aside.restore(saved.state)
        self.started = time.monotonic() - float(saved.state["seconds"])

    def _set_learning_rate(self, step: int) -> None:
        share = learning_rate_share(step, self.plan.steps, warmup=self.spec.warmup, schedule=self.spec.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = float(self.spec.learning_rate) * share * group["factor"]

    def _check(self, what: str, value: float, step: int, items: tuple[Any, ...]) -> None:
        if not math.isfinite(value):
            raise NotFinite(f"the {what} of step {step + 1} is {value}", [row.id for row in items])

    def _set_aside(self, step: int, reason: str, rows: list[str]) -> None:
        shown = ", ".join(rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        message = f"{reason}, in rows {shown}; nothing was updated, the step is set aside"
        self._told("incident", message, step=step + 1, reason=reason, rows=rows)
        self.aside.add(step, reason, rows)

    def _rewind(self, step: int, point: Point) -> None:
        """Go back to before the step whose update made the loss jump; it and the step that shows it are set aside."""
        seconds, aside = self.seconds(), self.aside.state()
        reason = f"the loss of step {step + 1} jumped to {point['cross_entropy']:.3f}"
        with self.ranks.in_turn():
            saved = self.seams.keeper.load(at_most=step - 1)
        if saved is None:
            restored = "there is no checkpoint to go back to"
        else:
            self._restore(saved)
            if self.ranks.main:
                self.seams.keeper.forget(after=self.step)
            restored = f"went back to step {self.step}"
        self.aside.restore(aside)
        self.aside.rewound(step, reason, back=saved is not None)
        self.started = time.monotonic() - seconds
        message = f"{reason}; {restored}, {'steps' if saved else 'step'} " + (f"{step} and " if saved else "")
        self._told("incident", f"{message}{step + 1} set aside", step=step + 1, reason=reason, back_to=self.step)

    def _halve(self, step: int) -> None:
        """Out of memory: smaller micro-batches, the same step."""
        self.optimiser.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        batches = self.plan.work(step, self.micro_tokens)[1]
        largest = max(batch.ids.shape[1] for batch in batches)
        if all(len(batch.rows) == 1 for batch in batches):
            raise no_room(largest)
        self.micro_tokens = largest // 2
        message = f"out of memory in step {step + 1}: micro-batches of at most {self.micro_tokens} tokens from now on"
        self._told("incident", message, step=step + 1, micro_tokens=self.micro_tokens)

    def _append(self, point: Point, began: float) -> None:
        if "loss" in point:
            point["tokens_per_second"] = point["tokens"] / (time.monotonic() - began)
        if self.seams.phase:
            point["phase"] = self.seams.phase
        self.points.append(point)
        self._told("metric", **point)
        more = f"loss {point['loss']:.3f}, {point['tokens_per_second']:,.0f} tokens/s" if "loss" in point else ""
        done, steps = self.step, self.plan.steps
        left = self.seconds() / done * (steps - done)
        message = f"training: {self.seams.phase}" if self.seams.phase else "training"
        self._told("progress", message, done=done, total=steps, unit="steps", more=more, seconds_left=left)

    def _told(self, kind: Any, message: str = "", **data: Any) -> None:
        self.seams.events.tell(kind, STAGE, message, **data)


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


def mean_loss(forward: Forward, batches: list[Batch], model: Any, ranks: Ranks = ALONE) -> float:
    """Mean cross-entropy in nats per trained token over `batches`, dropout off, no gradient; shared among `ranks`."""
    total = 0.0
    with torch.no_grad(), at_rest(model):
        for number, batch in ranks.share(batches):
            made = forward.predictions(batch)
            loss = chunked_cross_entropy(made.hidden_ND, made.targets_N, made.head, chunk_tokens=CHUNK_TOKENS)
            total += float(loss) if number is not None else 0.0
    return float(sum(ranks.exchange(total))) / sum(len(batch.targets) for batch in batches)
