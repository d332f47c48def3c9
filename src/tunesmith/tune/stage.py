"""Tokens -> Checkpoint: load the base, put the strategy on it, train phase by phase, save weights and curve."""

from __future__ import annotations

import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files
from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Checkpoint, Profile, Snapshot, Tokens
from tunesmith.tune import rules
from tunesmith.tune.reading import reading_problems
from tunesmith.tune.spec import TuneSpec

if TYPE_CHECKING:
    from tunesmith.tune.loop import Outcome, Seams
    from tunesmith.tune.ranks import Ranks

NAME = "tune"
VERSION = "2"

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors")


def check(spec: TuneSpec, root: Path) -> list[Problem]:
    """What is wrong with strategy, objective and phases; nothing heavy is imported but the components themselves."""
    return [*rules.problems(spec), *reading_problems(spec)]


def run(
    spec: TuneSpec, *, base: Base, profile: Profile, snapshot: Snapshot, tokens: Tokens, context: Context
) -> Checkpoint:
    """Train `base` on the training rows of `tokens`.

    Files: `adapter/` in PEFT's format, or `model/` where the model's own weights were trained; `curves.jsonl` (one
    point per step); `terms/` where a term keeps something.

    Args:
        spec: the section `tune`; every `auto` is filled from the rule table.
        base: the base model.
        profile: what rewards are told of the task; the budget was judged with the tokens (G0).
        snapshot: the examples behind the rows, for terms that read more than tokens.
        tokens: the tokenised rows.
        context: `scratch` keeps step checkpoints and border states, so that a killed run goes on where it was.

    Raises:
        UserError: there is nothing to train on; the strategy does not fit the model; the loss diverges; a row does not
            fit into memory; bf16 or fp8 is asked for and the hardware does not compute in it.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
    """
    from tunesmith.models import hardware
    from tunesmith.models.adapters import save_trained
    from tunesmith.tune.loop import train
    from tunesmith.tune.optimise import trained_weights
    from tunesmith.tune.phases import Room, seams_of
    from tunesmith.tune.precision import device, dtype_for, settle, untried
    from tunesmith.tune.ranks import here
    from tunesmith.tune.sharding import gather, shard
    from tunesmith.tune.tracking import Run, tracked
    from tunesmith.tune.workload import filled_phases

    filled, choices = filled_phases(spec, base, tokens.file("rows.parquet"))
    for choice in choices:
        context.events.tell("note", NAME, f"{choice.name} = {choice.value}: {choice.reason}", **choice._asdict())
    strategy = rules.STRATEGIES.build(filled[0].spec.strategy, where="tune.strategy")
    if faster := untried(spec.precision, device()):
        context.events.tell("note", NAME, faster)
    ranks = here(sharded=spec.parallel == "sharded")
    dtype = dtype_for(spec.precision, device())
    model = _adapted(filled[0].spec, strategy, base, ranks=ranks, context=context)
    hardware.reset_peak_memory()  # a file of another number format was mapped while it was read: that is over
    if _forgetful(spec, tokens, context=context, ranks=ranks):
        _compute_activations_again(model)
    if ranks.sharded:
        model = shard(model, ranks, compute=dtype)
    with ranks.in_turn():
        _same_threads(context.scratch / f"threads-{ranks.world}.json")
    room = Room(model, strategy, base, profile, snapshot, tokens, context, ranks)
    outcomes, preparing = [], 0.0
    later = _later(tokens.estimate.get("phases", []), len(filled))
    settings, trackers = filled[0].spec.model_dump(mode="json"), spec.track if ranks.main else ()
    with tracked(trackers, Run(context.run, context.root, settings), context.events, stage=NAME):
        for phase in filled:  # one that an interrupted run has finished is only put back in force
            began = time.monotonic()
            with ranks.keeping(context.scratch, f"phase-{phase.number}") as folder:
                seams = seams_of(phase, room, folder, later=later[phase.number])
            preparing += time.monotonic() - began
            outcomes.append(train(model, seams))
            if ranks.main:
                _keep_files(seams, context.out / "terms" / (f"phase-{phase.number}" if phase.count > 1 else ""))
    trainable = sum(weight.numel() for weight in trained_weights(model).values())
    peak = ranks.together(hardware.peak_memory_gb())
    gather(model, ranks)
    if ranks.main:
        settle(model, dtype)
        save_trained(model, context.out, base_path=base.path)
        points = [point for outcome in outcomes for point in outcome.points]
        files.write_text(context.out / "curves.jsonl", "".join(json.dumps(p, allow_nan=False) + "\n" for p in points))
    known = {"strategy": settings["strategy"], "trainable": trainable, "seed": context.seed, "peak_memory_gb": peak}
    known |= {"epochs": sum(float(f.spec.epochs) for f in filled), "preparing_seconds": preparing}
    made = _checkpoint(outcomes, known, base=base, tokens=tokens)
    _tell_taken(made, tokens.estimate, context)
    return made


def _adapted(spec: TuneSpec, strategy: Any, base: Base, *, ranks: Ranks, context: Context) -> Any:
    """The base model on the device (still on the CPU to be sharded), with the strategy's weights trained."""
    from tunesmith.models import float8, fused
    from tunesmith.models.load import load_model
    from tunesmith.tune.precision import device, dtype_for, mix

    dtype, place = dtype_for(spec.precision, device()), "cpu" if ranks.sharded else device()
    model = load_model(Path(base.path), dtype=dtype, device=place, weights=strategy.weight_format)
    if place == "cuda" and spec.speed.kernels == "auto" and fused.installed():
        why = fused.fuse(model)
        context.events.tell("note", NAME, f"Liger's kernels are not used: {why}" if why else "Liger's kernels are used")
    try:
        adapted = strategy.apply(model.requires_grad_(False), seed=context.seed)
    except ValueError as error:
        raise UserError(rules.misfit(error)) from None
    if spec.precision == "fp8":
        count = float8.convert(adapted)
        context.events.tell("note", NAME, f"{count} linear layers multiply in 8 bits", layers=count)
    mix(adapted, dtype, device())
    return adapted


def _compute_activations_again(model: Any) -> None:
    """Switch activation checkpointing on."""
    from tunesmith.models.trunk import base_model

    plain = base_model(model)
    # Transformers 5.20 renamed the method; the first argument is the same.
    enable = getattr(plain, "activation_checkpointing_enable", None) or plain.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for module in plain.modules():
        # Layers checkpoint only in training mode; their inner modules stay in evaluation mode (no dropout).
        module.training = module.training or getattr(module, "gradient_checkpointing", False)


def _forgetful(spec: TuneSpec, tokens: Tokens, *, context: Context, ranks: Ranks) -> bool:
    """Whether activations are computed again: as this run began, as the file says, or as G0 has chosen; it is told."""
    choice: dict[str, Any] = {"value": spec.activation_checkpointing, "reason": "the project file says so"}
    if spec.activation_checkpointing == "auto":
        choice = tokens.estimate.get("checkpointing") or {"value": "off", "reason": "nothing was estimated"}
    path = context.scratch / "activation-checkpointing.json"
    with ranks.in_turn():
        if path.is_file():
            choice = files.read_json(path)
        else:
            files.write_json(path, choice)
    told = f"activation checkpointing is {choice['value']}: {choice['reason']}"
    context.events.tell("note", NAME, told, **choice)
    return bool(choice["value"] == "on")


def _later(phases: list[dict[str, Any]], count: int) -> list[float]:
    """For each phase what all after it take by the estimate, as a share of it; nothing where that is not known."""
    minutes = [phase["minutes"] for phase in phases]
    if len(minutes) != count:
        return [0.0] * count
    return [sum(minutes[number + 1 :]) / minutes[number] if minutes[number] else 0.0 for number in range(count)]


def _tell_taken(made: Checkpoint, predicted: dict[str, Any], context: Context) -> None:
    """Memory and time as measured, beside what was predicted."""
    minutes = (made.seconds + made.preparing_seconds) / 60
    measured = {"memory_gb": made.peak_memory_gb, "minutes": minutes}
    told = f"training took {made.peak_memory_gb:.2f} GB and {minutes:.1f} minutes"
    if predicted:
        told += f"; predicted were {predicted['memory_gb']:.2f} GB and {predicted['minutes']:.1f} minutes"
    before = {name: predicted.get(name) for name in measured}
    context.events.tell("note", NAME, told, measured=measured, predicted=before)


def _keep_files(seams: Seams, folder: Path) -> None:
    """Copy what terms want kept (a Fisher) into the checkpoint."""
    for companion in seams.objective.companions().values():
        for name, path in companion.files().items():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)


def _same_threads(path: Path) -> None:
    """Compute with the threads that this run began with: another number of them rounds sums in another order."""
    import torch

    if path.is_file():
        torch.set_num_threads(int(files.read_json(path)))
    else:
        files.write_json(path, torch.get_num_threads())


def _checkpoint(outcomes: list[Outcome], known: dict[str, Any], *, base: Base, tokens: Tokens) -> Checkpoint:
    """What the phases came to; `known` are fields that do not follow from their curves."""
    everything = [point for outcome in outcomes for point in outcome.points]
    points = [point for point in everything if "loss" in point]
    learnt = [point for point in points if "cross_entropy" in point] or points
    tenth = max(1, len(learnt) // 10)

    def mean(part: list[dict[str, Any]]) -> float:
        told = [point for point in part if point["trained_tokens"]]
        tokens = sum(point["trained_tokens"] for point in told)
        total = sum(point.get("cross_entropy", point["loss"]) * point["trained_tokens"] for point in told)
        return float(total / max(1, tokens))

    seconds = sum(outcome.seconds for outcome in outcomes)
    return Checkpoint(
        **known,
        base=base.id,
        base_path=base.path,
        base_revision=base.revision,
        chat_template_hash=tokens.chat_template_hash,
        steps=len(everything),
        loss_first=mean(learnt[:tenth]),
        loss_last=mean(learnt[-tenth:]),
        valid_loss=points[-1].get("valid_loss") if points else None,
        set_aside=len(everything) - len(points),
        rewinds=sum(outcome.rewinds for outcome in outcomes),
        seconds=seconds,
        tokens_per_second=sum(point["tokens"] for point in points) / max(seconds, 1e-9),
        versions={name: version(name) for name in _LIBRARIES},
    )
