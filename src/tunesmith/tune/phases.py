"""From the section `tune` to the seams of the loop: for each phase its rows, its plan, its objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Example, Profile, Snapshot, Tokens
from tunesmith.tune import rules
from tunesmith.tune.batches import Plan, Row, begins_alike, cut_batches, last_turn, read_rows, shared_prefix
from tunesmith.tune.checkpoint import Keeper
from tunesmith.tune.compiling import compile_layers, pays
from tunesmith.tune.curriculum import Shares, difficulty
from tunesmith.tune.forward import Forward, PackedForward, choose_forward, probe
from tunesmith.tune.loop import STAGE, Seams, Work, mean_loss
from tunesmith.tune.objective import TERMS, WEIGHTINGS, Companion, Job, Objective, general_share, weighted
from tunesmith.tune.precision import device
from tunesmith.tune.ranks import ALONE, Ranks
from tunesmith.tune.reading import BOTH
from tunesmith.tune.rewards import SAMPLING, TERM
from tunesmith.tune.sharding import refuse_unfit
from tunesmith.tune.spec import Phase, TuneSpec
from tunesmith.tune.states import border_states


@dataclass(frozen=True)
class FilledPhase:
    """One phase with everything filled.

    Args:
        number: counted from 0.
        count: of all phases.
        rows: what is read.
        spec: `tune` with this phase's objective, learning rate, epochs and rows a step.
    """

    number: int
    count: int
    rows: str
    spec: TuneSpec

    @property
    def name(self) -> str:
        """For the curve: "" where there is one phase only."""
        return f"{self.number + 1} of {self.count}, {self.rows}" if self.count > 1 else ""


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


def filled_phases(spec: TuneSpec, base: Base, tokens: Tokens) -> tuple[list[FilledPhase], list[rules.Choice]]:
    """Every phase with every `auto` filled, and the choices that were made, each once.

    Raises:
        UserError: a phase has nothing to train on; a setting of the strategy is wrong.
    """
    phases = spec.phases or (Phase(),)
    path = tokens.file("rows.parquet")
    filled, choices = [], {}
    for number, phase in enumerate(phases):
        own = {name: value for name in ("objective", "learning_rate", "epochs", "rows_per_step")
               if (value := getattr(phase, name)) is not None}  # fmt: skip
        rows, units = _rows_of(phase.rows, path)
        count = len(rows if units is None else units)
        if not count:
            found = f"no training row is there for `rows: {phase.rows}`, or none has a trained token"
            where = f"tune.phases[{number}].rows" if spec.phases else "tune"
            raise UserError(Problem("nothing-to-train", found, "see `tunesmith data preview`", where))
        made, chosen = rules.resolve(spec.model_copy(update=own), base, count)
        filled.append(FilledPhase(number, len(phases), phase.rows, made))
        choices.update({(choice.name, str(choice.value)): choice for choice in chosen})
    return filled, list(choices.values())


def _rows_of(what: str, path: Path) -> tuple[list[Row], list[tuple[int, ...]] | None]:
    """The training rows of a phase, and the units in which they must stay together."""
    if what == "text":
        return read_rows(path, "train", ("text",)), None
    if what == "judged":
        return [last_turn(row) for row in read_rows(path, "train", ("supervised", "rejected"), judged=True)], None
    rows = read_rows(path, "train", ("supervised",))
    if what != "pairs":
        return rows, None
    better = {row.id: row for row in rows}
    worse = [row for row in read_rows(path, "train", ("rejected",)) if row.id in better]
    pairs = [last_turn(row) for other in worse for row in (better[other.id], other)]
    return pairs, [(2 * n, 2 * n + 1) for n in range(len(worse))]


def seams_of(phase: FilledPhase, room: Room, folder: Path) -> Seams:
    """Everything the loop is made of, the forward chosen by trying, the frozen bottom's states made.

    What is computed once is kept in `folder`; step checkpoints lie in the stage's own scratch folder.
    """
    spec, context = phase.spec, room.context
    rows, units = _rows_of(phase.rows, room.tokens.file("rows.parquet"))
    share = general_share(spec.objective)
    general = _general_rows(room.tokens) if share else []
    parts = ("text",) if phase.rows == "text" else ("supervised",)
    valid = read_rows(room.tokens.file("rows.parquet"), "valid", parts)
    everything = [*rows, *general]
    prefix = shared_prefix(everything) if spec.speed.share_prefix else 0
    together = all(begins_alike(row, everything[0], prefix) for row in valid)
    read = [*everything, *valid] if together else everything
    forward = _forward(phase, room, (read, prefix), folder)
    plan = Plan(
        rows=everything,
        rows_per_step=int(spec.rows_per_step),
        epochs=float(spec.epochs),
        prefix=prefix,
        micro_tokens=int(spec.tokens_per_micro_batch),
        seed=context.seed,
        units=units if units is not None else [(number,) for number in range(len(rows))],
        replayed=range(len(rows), len(everything)),
        replay_rows=max(1, round(share * int(spec.rows_per_step))) if general else 0,
        parts=room.ranks.world,
    )
    job = _job(phase, room, (forward, plan), _folder(phase, folder))
    if spec.curriculum.order == "easy_to_hard":
        plan = replace(plan, difficulty=difficulty(plan, job))
    work = _work(phase, plan, job)
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
        evaluate=_evaluation(room, forward, plan, valid, together=together),
        companions=companions,
        rate_of=getattr(room.strategy, "rate_factor", lambda _: 1.0),
        phase=phase.name,
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
    return PackedForward(trunk, states)


def _quicken(forward: Forward, spec: TuneSpec, room: Room, rows: Sequence[Row]) -> None:
    """Compile the layers where that pays; what a GPU could do faster and does not is told."""
    slow = forward.trunk.slow if isinstance(forward, PackedForward) else ()
    for reason in sorted(slow):
        room.context.events.tell("note", STAGE, f"attention takes several calls, not one for all rows: {reason}")
    minutes, fp8 = float(room.tokens.estimate.get("minutes", 0.0)), spec.precision == "fp8"
    if not pays(spec.speed.compile, device=device(), minutes=minutes, fp8=fp8):
        return
    why = "layers are divided" if room.ranks.sharded else compile_layers(forward, room.model, probe(rows))
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
        general=cache(lambda: _general_rows(room.tokens)),
        untrained=phase.number == 0,
    )


def _folder(phase: FilledPhase, scratch: Path) -> Path:
    return scratch / (f"phase-{phase.number}" if phase.count > 1 else "phase")


def _general_rows(tokens: Tokens) -> list[Row]:
    return read_rows(tokens.file("rows.parquet"), "general", ("general",))


def _companions(room: Room, work: Work) -> dict[str, Companion]:
    """What has a state besides the objective: a strategy that moves, a sampler."""
    running = getattr(room.strategy, "running", None)
    found: dict[str, Companion] = {} if running is None else {"strategy": running(room.model, steps=work.steps)}
    return {**found, "sampler": work} if isinstance(work, Companion) else found


def _evaluation(
    room: Room, forward: Forward, plan: Plan, valid: Sequence[Row], *, together: bool
) -> Callable[[], float] | None:
    """The mean loss on the validation rows; packed behind the training's prefix where they begin with it."""
    if not valid:
        return None
    if together:
        rows: Sequence[Row] = [*plan.rows, *valid]
        batches = cut_batches(rows, range(len(plan.rows), len(rows)), plan.prefix, plan.micro_tokens)
    else:
        whole = PackedForward(forward.trunk) if isinstance(forward, PackedForward) else forward
        batches = cut_batches(valid, range(len(valid)), shared_prefix(valid), plan.micro_tokens)
        return lambda: mean_loss(whole, batches, room.model, room.ranks)
    return lambda: mean_loss(forward, batches, room.model, room.ranks)


def _warn(context: Context) -> Callable[[str], None]:
    return lambda text: context.events.tell("warning", STAGE, text)
