"""From the section `tune` to the seams of the loop: for each phase its rows, its plan, its objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Example, Profile, Snapshot, Tokens
from tunesmith.models.hardware import give_back_memory
from tunesmith.tune.batches import Plan, Row, cut_batches, shared_prefix
from tunesmith.tune.checkpoint import Keeper
from tunesmith.tune.compiling import compile_layers
from tunesmith.tune.curriculum import Shares, difficulty
from tunesmith.tune.forward import Forward, PackedForward, choose_forward, probe
from tunesmith.tune.loop import STAGE, Seams, Work, mean_loss
from tunesmith.tune.objective import TERMS, WEIGHTINGS, Companion, Job, Objective, weighted
from tunesmith.tune.ranks import ALONE, Ranks
from tunesmith.tune.reading import BOTH
from tunesmith.tune.rewards import SAMPLING, TERM
from tunesmith.tune.sharding import refuse_unfit
from tunesmith.tune.spec import TuneSpec
from tunesmith.tune.states import border_states
from tunesmith.tune.workload import FilledPhase, Workload, general_rows, workload


@dataclass(frozen=True)
class Room:
    """What all phases of one training share: the model with its strategy on it, the stage's inputs, the processes."""

    model: Any
    strategy: Any
    base: Base
    profile: Profile
    snapshot: Snapshot
    tokens: Tokens
    context: Context
    ranks: Ranks = ALONE


def seams_of(phase: FilledPhase, room: Room, folder: Path, *, later: float = 0.0) -> Seams:
    """Everything the loop is made of, the forward chosen by trying, the frozen bottom's states made.

    What is computed once is kept in `folder`; step checkpoints lie in the stage's own scratch folder. `later` is what
    the phases after this one take, as a share of this one.
    """
    spec, context = phase.spec, room.context
    load = workload(phase, room.tokens.file("rows.parquet"), seed=context.seed, parts=room.ranks.world)
    plan = load.plan
    forward = _forward(phase, room, (load.read, plan.prefix), folder)
    job = _job(phase, room, (forward, plan), _folder(phase, folder))
    if spec.curriculum.order == "easy_to_hard":
        plan = replace(plan, difficulty=difficulty(plan, job))
        load = replace(load, plan=plan)
    work = _work(phase, plan, job)
    costs = load.costs() if work is plan else ()  # what answers will cost is not known before they are made
    companions, objective = _companions(room, work), _objective(phase, job)
    if room.ranks.sharded:
        refuse_unfit(forward, objective, companions.values())
    return Seams(
        spec=spec,
        plan=work,
        forward=forward,
        objective=objective,
        keeper=Keeper(_folder(phase, context.scratch) / "steps", _warn(context)),
        events=context.events,
        evaluate=_evaluation(room, forward, load),
        companions=companions,
        rate_of=getattr(room.strategy, "rate_factor", lambda _: 1.0),
        phase=phase.name,
        costs=costs,
        later=later * (sum(costs) or work.steps),
        ranks=room.ranks,
    )


def _objective(phase: FilledPhase, job: Job) -> Objective:
    spec = phase.spec
    weights = {name: weight for name, weight, _ in map(weighted, spec.objective)}
    weighting = WEIGHTINGS.build(spec.weighting, where="tune.weighting").begin(weights)
    shares = Shares(spec.curriculum.supervised if phase.rows == BOTH else ())
    return Objective.build(spec.objective, job, weighting=weighting, shares=shares)


def _work(phase: FilledPhase, plan: Plan, job: Job) -> Work:
    """The plan itself, or what makes rows of its prompts while the training goes on."""
    spec = phase.spec
    if phase.rows not in SAMPLING:
        return plan
    from tunesmith.tune.sampling import Asking, Sampler

    [settings] = [weighted(use)[2] for use in spec.objective if use.use == TERM]  # `check` told any other number
    mixed, context = phase.rows == "supervised_and_prompts", int(spec.context_tokens)
    return Sampler(plan, job, Asking(TERMS.build(settings), mixed, context, spec.speed.share_prefix))


def _forward(phase: FilledPhase, room: Room, read: tuple[list[Row], int], scratch: Path) -> Forward:
    """The fastest forward that is right, reading the frozen bottom's states of `rows` from disk where that is on."""
    rows, prefix = read
    speed, events = phase.spec.speed, room.context.events
    forward, why = choose_forward(room.model, rows, pack=speed.pack, cut=speed.cut)
    if why:
        events.tell("warning", STAGE, f"rows are run one at a time: {why}")
    _quicken(forward, phase.spec, room, rows)
    sampled_only = phase.rows == "prompts"  # answers are new each time: nothing would be read twice
    if not isinstance(forward, PackedForward) or speed.states == "off" or sampled_only:
        return forward
    trunk = forward.trunk

    def progress(batches: Any, *, total: int) -> Any:
        message = f"states of the {trunk.border} frozen layers, once for the whole run"
        return events.track(batches, STAGE, message, total=total, unit="batches")

    folder = scratch / f"border-{phase.number}"
    digests = {"model": room.base.digest, "template": room.tokens.chat_template_hash}
    states, why = border_states(
        trunk, rows, prefix=prefix, folder=folder, progress=progress, exact=speed.states == "exact", digests=digests
    )
    if why:
        events.tell("note", STAGE, f"border states are not kept: {why}")
    give_back_memory()  # steps come in other sizes: malloc would keep the pass's memory beside theirs
    return PackedForward(trunk, states)


def _quicken(forward: Forward, spec: TuneSpec, room: Room, rows: Sequence[Row]) -> None:
    """Compile the layers where that pays; what a GPU could do faster and does not is told."""
    slow = forward.trunk.slow if isinstance(forward, PackedForward) else ()
    for reason in sorted(slow):
        room.context.events.tell("note", STAGE, f"attention takes several calls, not one for all rows: {reason}")
    if not room.tokens.estimate.get("compiled", spec.speed.compile == "on"):
        return
    if room.ranks.sharded:
        why = "layers are divided"
    else:
        room.context.events.tell("note", STAGE, "layers are compiled first: that takes a minute or two")
        why = compile_layers(forward, room.model, probe(rows))
    if why:
        room.context.events.tell("warning", STAGE, f"layers are not compiled: {why}")


def _job(phase: FilledPhase, room: Room, made: tuple[Forward, Plan], folder: Path) -> Job:
    context, (forward, plan) = room.context, made
    folder.mkdir(parents=True, exist_ok=True)

    @cache
    def examples() -> Mapping[str, Example]:
        from tunesmith.core.examples import read_examples

        return {example.id: example for example in read_examples(room.snapshot.file("examples.parquet"))}

    return Job(
        model=room.model,
        forward=forward,
        rows=plan.rows,
        batches=lambda numbers: cut_batches(plan.rows, numbers, plan.prefix, plan.micro_tokens),
        folder=folder,
        events=context.events,
        seed=context.seed,
        examples=examples,
        scorer=lambda use: context.scorer(use, room.profile),
        base_path=Path(room.base.path),
        profile=room.profile,
        general=cache(lambda: general_rows(room.tokens.file("rows.parquet"))),
        untrained=phase.number == 0,
    )


def _folder(phase: FilledPhase, scratch: Path) -> Path:
    return scratch / (f"phase-{phase.number}" if phase.count > 1 else "phase")


def _companions(room: Room, work: Work) -> dict[str, Companion]:
    """What has a state besides the objective: a strategy that moves, a sampler."""
    running = getattr(room.strategy, "running", None)
    found: dict[str, Companion] = {} if running is None else {"strategy": running(room.model, steps=work.steps)}
    return {**found, "sampler": work} if isinstance(work, Companion) else found


def _evaluation(room: Room, forward: Forward, load: Workload) -> Callable[[], float] | None:
    """The mean loss on the validation rows; packed behind the training's prefix where they begin with it."""
    plan, valid = load.plan, load.valid
    if not valid:
        return None
    if load.together:
        batches = cut_batches(load.read, range(len(plan.rows), len(load.read)), plan.prefix, plan.micro_tokens)
    else:
        whole = PackedForward(forward.trunk) if isinstance(forward, PackedForward) else forward
        batches = cut_batches(valid, range(len(valid)), shared_prefix(valid), plan.micro_tokens)
        return lambda: mean_loss(whole, batches, room.model, room.ranks)
    return lambda: mean_loss(forward, batches, room.model, room.ranks)


def _warn(context: Context) -> Callable[[str], None]:
    return lambda text: context.events.tell("warning", STAGE, text)
