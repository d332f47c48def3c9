"""Memory, time and disk of a whole training, from the rows that it will read: what gate G0 judges.

A phase has moments: its steps, and what is done before and between them (a reading without gradient, a Fisher, answers
that are sampled). They follow one another, so the memory of a training is that of its largest moment, and its time is
the sum over all phases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import UserError
from tunesmith.core.types import Base
from tunesmith.models import decoding
from tunesmith.models import estimate as estimates
from tunesmith.models.estimate import GB, MASTER_BYTES, Work
from tunesmith.tune import rules
from tunesmith.tune.batches import last_turn
from tunesmith.tune.method import Machine, method_work
from tunesmith.tune.objective import TERMS, weighted
from tunesmith.tune.rewards import SAMPLING, TERM
from tunesmith.tune.spec import TuneSpec
from tunesmith.tune.term_costs import CHUNK, Case, Extra, extras, ordered, reading_parts
from tunesmith.tune.workload import FilledPhase, Workload, filled_phases, general_rows, workload

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

DISK_SHARE = 0.5
"""Border states are kept, and a teacher's answers allowed, up to this share of the free disk (`states`, the term)."""

CACHE_TOKENS = 16_384
"""`sampling.GENERATED_TOKENS`: most tokens that the cache of one generation batch holds."""

CHECKPOINTS = 3
"""`checkpoint.KEPT` and the one that is being written."""


@dataclass(frozen=True)
class Ground:
    """What all phases of a training stand on.

    Args:
        shape: the model with its weights.
        method: `Work` without rows: what follows from strategy, precision and device.
        spec: the section with every `auto` of the first phase filled.
        machine: what it runs on.
    """

    shape: Shape
    method: Work
    spec: TuneSpec
    machine: Machine


def predict(
    spec: TuneSpec, *, base: Base, rows: Path, machine: Machine, seed: int = 0, checkpointing: bool = False
) -> dict[str, Any]:
    """The estimate of a training, as JSON values.

    Args:
        spec: the section `tune` as the user wrote it.
        base: the base model.
        rows: `rows.parquet`.
        machine: what it is to run on.
        seed: of the order of the rows.
        checkpointing: whether activations are computed again in the backward pass.

    Returns:
        `memory_gb` with its `parts_gb`, those of the largest moment; `moments_gb`: every moment's parts; `minutes` with
        `parts_minutes`; `compiled`: whether layers will be; `disk_gb` with `parts_disk_gb`; `phases`: name, minutes and
        steps of each; counts. Where no row can be trained the steps of one token are told.

    Raises:
        UserError: the strategy does not fit the model.
    """
    from tunesmith.models.shape import shape_of_folder, with_weights

    folder = Path(base.path)
    shape = with_weights(shape_of_folder(folder), folder)
    try:
        phases = filled_phases(spec, base, rows)[0]
    except UserError:
        phases = []  # nothing to train: G2 says so
    first = phases[0].spec if phases else rules.resolve(spec, base, 1)[0]
    ground = Ground(shape, method_work(first, shape, machine.device, checkpointing=checkpointing), first, machine)
    made = [_phase(phase, ground, rows, seed) for phase in phases]
    return _summed(made or [_made("", replace(ground.method, step_tokens=1, chunk=1), ground, {})], ground)


def rough(
    spec: TuneSpec, shape: Shape, size: tuple[int, float], *, machine: Machine, checkpointing: bool = False
) -> dict[str, Any]:
    """The same before any row was tokenised: one phase, a quarter of all tokens trained, the steps alone.

    Args:
        spec: the section with every `auto` filled.
        shape: the model with its weights.
        size: number of training rows and their mean length in tokens.
        machine: what it is to run on.
        checkpointing: see `predict`.
    """
    ground = Ground(shape, method_work(spec, shape, machine.device, checkpointing=checkpointing), spec, machine)
    rows, each = size
    work = replace(
        ground.method,
        tokens=round(rows * each),
        trained_tokens=round(rows * each / 4),
        epochs=float(spec.epochs),
        step_tokens=int(spec.tokens_per_micro_batch),
        row_tokens=round(each),
        cached=ground.method.lowest > 0,
    )
    minutes = estimates.minutes_of(estimates.operation_parts(shape, work), gflops=_speed(ground), slower=work.slower)
    return _summed([_made("", work, ground, minutes)], ground)


def _phase(phase: FilledPhase, ground: Ground, path: Path, seed: int) -> dict[str, Any]:
    """Moments, minutes and disk of one phase."""
    load = workload(phase, path, seed=seed, parts=ground.machine.workers)
    work, extra = _steps(phase, load, ground), Extra()
    minutes: dict[str, float] = {}
    states = _state_gb(phase, load, ground) if work.lowest else 0.0
    if states and states <= DISK_SHARE * ground.machine.disk_free_gb:
        work = replace(work, cached=True)
        extra.disk["border states"] = states
        tokens = sum(len(row.read) for row in load.read)
        extra.moments["border states"] = reading_parts(ground.shape, tokens, work.compute_bytes, head=False)
    case = Case(ground.shape, work, load, general_rows(path), {})
    extra.add(extras(phase.spec.objective, case))
    if phase.spec.curriculum.order == "easy_to_hard":
        extra.add(ordered(case))
    work = replace(work, heads=extra.heads, chunk=_chunk(extra.chunk, work, pack=phase.spec.speed.pack))
    operations = {**estimates.operation_parts(ground.shape, work), **extra.once}
    parts = {**estimates.memory_parts(ground.shape, work), **extra.held}
    if phase.rows in SAMPLING:
        told = _sampled(phase, load, work, ground)
        operations = _added(operations, told["operations"])
        minutes["sampling"] = told["minutes"]
        extra.moments["sampling"] = told["sampling"]
        larger = {name: max(parts[name], told["steps"][name]) for name in ("activations", "allocator", "logits")}
        parts = {**parts, **larger, **told["held"]}
    minutes = {**minutes, **estimates.minutes_of(operations, gflops=_speed(ground), slower=work.slower)}
    made = _made(phase.name or phase.rows, work, ground, minutes)
    made["moments"] = _moments(parts, {**extra.moments, "checkpoint": {**_saving(work, ground), **extra.held}}, ground)
    counts = {"steps": load.plan.steps, "tera": sum(operations.values()) / 1e12}
    return {**made, **counts, "disk": {**made["disk"], **extra.disk}}


def _made(name: str, work: Work, ground: Ground, minutes: Mapping[str, float]) -> dict[str, Any]:
    """A phase of nothing but steps."""
    checkpoints = CHECKPOINTS * work.trainable * (MASTER_BYTES + estimates.ADAM_BYTES) / GB
    return {
        "name": name,
        "minutes": sum(minutes.values()),
        "steps": 0,
        "parts_minutes": minutes,
        "moments": _moments(estimates.memory_parts(ground.shape, work), {"checkpoint": _saving(work, ground)}, ground),
        "disk": {"checkpoints": checkpoints},
        "tera": estimates.training_operations(ground.shape, work) / 1e12,
        "tokens": work.tokens,
        "step_tokens": work.step_tokens,
    }


def _moments(
    steps: Mapping[str, float], others: Mapping[str, Mapping[str, float]], ground: Ground
) -> dict[str, dict[str, float]]:
    """All moments with what every one of them holds."""
    always = {name: steps[name] for name in ("weights", "master", "runtime")}
    found = {"steps": steps, **{name: {**always, **parts} for name, parts in others.items()}}
    return {name: _shared(parts, ground) for name, parts in found.items()}


def _saving(work: Work, ground: Ground) -> dict[str, float]:
    """The moment in which a checkpoint is written: what lies in parts is gathered first (`optimise.state_tensors`)."""
    own = work.trainable / GB
    held = {"gradients": estimates.GRADIENT_BYTES * own, "optimizer": estimates.ADAM_BYTES * own}
    gathered = ground.machine.workers > 1 and ground.spec.parallel == "sharded"
    return {**held, "copies": (MASTER_BYTES + estimates.ADAM_BYTES) * own if gathered else 0.0}


def _speed(ground: Ground) -> float:
    """1e9 operations a second that training reaches, all workers together; on a processor they share the cores."""
    return ground.machine.gflops * estimates.EFFICIENCY * (ground.machine.workers if ground.machine.apart else 1)


def _steps(phase: FilledPhase, load: Workload, ground: Ground) -> Work:
    """The steps of a phase as work; those on prompts alone have only what is replayed."""
    plan = load.plan
    costs = plan.costs()
    own = plan.rows[: len(plan.rows) - load.general]
    general = plan.rows[len(plan.rows) - load.general :]
    replayed = plan.steps_per_epoch * plan.replay_rows / max(1, len(general))
    alone = phase.rows == "prompts"
    tokens = sum(costs) / len(costs) * plan.steps_per_epoch
    trained = sum(len(row.trained) for row in own) + replayed * sum(len(row.trained) for row in general)
    if alone:
        tokens = replayed * sum(len(row.read) for row in general)
        trained = replayed * sum(len(row.trained) for row in general)
    return replace(
        ground.method,
        tokens=round(tokens),
        trained_tokens=round(trained),
        epochs=plan.epochs,
        step_tokens=0 if alone and not general else plan.largest_micro_batch(),
        row_tokens=round(sum(len(row.read) for row in plan.rows) / max(1, len(plan.rows))),
        valid=(sum(len(row.read) for row in load.valid), sum(len(row.trained) for row in load.valid)),
    )


def _chunk(wanted: int, work: Work, *, pack: bool) -> int:
    """Positions whose logits exist at once: a chunk of the trained ones; rows run one by one make all of theirs."""
    if not pack:
        return work.step_tokens
    return min(wanted, math.ceil(work.step_tokens * work.trained_tokens / max(1, work.tokens)))


def _state_gb(phase: FilledPhase, load: Workload, ground: Ground) -> float:
    """Border states of all rows that are read, 0 where they are not kept; every sharded worker keeps its own."""
    speed = phase.spec.speed
    if not (speed.pack and speed.cut) or speed.states == "off" or phase.rows == "prompts":
        return 0.0
    prefix, each = load.plan.prefix, ground.method.compute_bytes if speed.states == "exact" else 2
    tokens = prefix + sum(len(row.read) - prefix for row in load.read)
    own = ground.machine.workers if phase.spec.parallel == "sharded" else 1
    return own * tokens * ground.shape.hidden * each / GB


def _sampled(phase: FilledPhase, load: Workload, work: Work, ground: Ground) -> dict[str, Any]:
    """Answers that the model gives while it is trained, all as long as they may be, and the steps on them."""
    [settings] = [TERMS.build(weighted(use)[2]) for use in phase.spec.objective if use.use == TERM]
    shape, (one, samplings) = ground.shape, _asked(phase, load, settings)
    group = one.prompt_tokens + settings.samples * settings.at_most_tokens  # the prompt once for all its answers
    packed, trained, steps = one.prompts * group, one.rows * settings.at_most_tokens, samplings * settings.updates
    learnt = replace(
        work,
        tokens=round(steps * packed),
        trained_tokens=round(steps * trained),
        epochs=1.0,
        cached=False,
        valid=(0, 0),
        heads=1,
        chunk=min(CHUNK, settings.samples * settings.at_most_tokens),
        row_tokens=round(one.row_tokens),
        step_tokens=round(max(min(load.plan.micro_tokens, group), one.row_tokens)),
    )
    passes = samplings * (bool(settings.kl) + (settings.updates > 1))
    body = estimates.reading_operations(shape, packed, row_tokens=one.row_tokens)
    copy = MASTER_BYTES * work.trainable / GB if settings.kl else 0.0
    seconds = samplings * decoding.answering_seconds(
        shape, one, gflops=ground.machine.gflops, weight_bytes=work.weight_bytes, device=ground.machine.device
    )
    optimizer = estimates.ADAM_BYTES * work.trainable / GB
    return {
        "operations": {
            **estimates.operation_parts(shape, learnt),
            "likelihoods": passes * (body + trained * 2 * shape.vocabulary * shape.hidden),
        },
        "minutes": work.slower * seconds / 60,
        "sampling": {
            "optimizer": optimizer,
            "reference": 2 * copy,
            **decoding.answering_parts(shape, one, compute_bytes=work.compute_bytes),
        },
        "held": {"reference": copy} if copy else {},
        "steps": estimates.memory_parts(shape, learnt),
    }


def _asked(phase: FilledPhase, load: Workload, settings: Any) -> tuple[decoding.Asked, int]:
    """One sampling, and how many there are; see `sampling.Sampler`."""
    plan = load.plan
    rows = {row.id: last_turn(row) for row in plan.rows if row.part == "supervised"}
    asked = max(1, min(len(rows), settings.prompts_per_step or plan.rows_per_step))
    samplings = round(plan.epochs * math.ceil(len(rows) / asked))
    if phase.rows != "prompts":
        samplings = math.ceil(plan.steps / settings.updates)
    prompt = sum(row.trained[0] for row in rows.values()) / max(1, len(rows))
    answer = settings.at_most_tokens
    return decoding.Asked(asked, settings.samples, prompt, answer, CACHE_TOKENS), max(1, samplings)


def _shared(parts: Mapping[str, float], ground: Ground) -> dict[str, float]:
    """GB where it is counted: on the one machine for all workers together, or on each worker's GPU.

    Whole models are held N times. Sharded (FSDP2: Zhao et al. 2023, arXiv:2304.11277) the decoder layers' weights,
    gradients and moments are held once by all together, embedding and head by each.
    """
    workers, shape = ground.machine.workers, ground.shape
    if workers == 1:
        return dict(parts)
    layers = shape.body / max(1, shape.active_parameters)
    sharded = {"weights": layers, "master": 1.0, "gradients": 1.0, "optimizer": 1.0}
    found = {}
    for name, gb in parts.items():
        divided = sharded.get(name, 0.0) if ground.spec.parallel == "sharded" else 0.0
        found[name] = gb * (divided / workers + 1 - divided) * (1 if ground.machine.apart else workers)
    return found


def _compiled(ground: Ground, minutes: dict[str, float]) -> tuple[bool, dict[str, float]]:
    """Whether the layers will be compiled, and the minutes then; what that saves was measured on processors only."""
    from tunesmith.tune.compiling import STARTING_MINUTES, TIME_LEFT, pays

    spec = ground.spec
    compiled = pays(spec.speed.compile, minutes=sum(minutes.values()), fp8=spec.precision == "fp8")
    if not compiled or ground.machine.device != "cpu":
        return compiled, minutes
    quicker = {name: spent * (1.0 if name == "sampling" else TIME_LEFT) for name, spent in minutes.items()}
    return True, {**quicker, "compiling": STARTING_MINUTES}


def _summed(phases: Sequence[dict[str, Any]], ground: Ground) -> dict[str, Any]:
    moments = {
        f"{phase['name']}: {name}" if len(phases) > 1 else name: parts
        for phase in phases
        for name, parts in phase["moments"].items()
    }
    largest = max(moments, key=lambda name: sum(moments[name].values()))
    minutes: dict[str, float] = {}
    disk: dict[str, float] = {}
    for phase in phases:
        minutes, disk = _added(minutes, phase["parts_minutes"]), _added(disk, phase["disk"])
    compiled, minutes = _compiled(ground, minutes)
    own = MASTER_BYTES if ground.method.adapter else ground.method.weight_bytes
    disk["checkpoint"] = (ground.method.trainable if ground.method.adapter else ground.shape.parameters) * own / GB
    return {
        "memory_gb": sum(moments[largest].values()),
        "largest_moment": largest,
        "parts_gb": moments[largest],
        "moments_gb": moments,
        "minutes": sum(minutes.values()),
        "parts_minutes": minutes,
        "compiled": compiled,
        "disk_gb": sum(disk.values()),
        "parts_disk_gb": disk,
        "phases": [{name: phase[name] for name in ("name", "minutes", "steps")} for phase in phases],
        "tera": sum(phase["tera"] for phase in phases),
        "tokens": sum(phase["tokens"] for phase in phases),
        "step_tokens": max(phase["step_tokens"] for phase in phases),
        "trainable": ground.method.trainable,
        "slower": ground.method.slower,
        **asdict(ground.machine),
    }


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}
