"""Tokens -> Checkpoint: load the base, put the strategy on it, train, save the adapter and the curve."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files
from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Checkpoint, Profile, Tokens
from tunesmith.tune import rules
from tunesmith.tune.spec import TuneSpec

if TYPE_CHECKING:
    from tunesmith.tune.batches import Plan, Row
    from tunesmith.tune.forward import Forward
    from tunesmith.tune.loop import Outcome, Seams

NAME = "tune"
VERSION = "1"

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors")


def check(spec: TuneSpec, root: Path) -> list[Problem]:
    """What is wrong with strategy and objective; nothing heavy is imported but the components themselves."""
    return rules.problems(spec)


def run(spec: TuneSpec, *, base: Base, profile: Profile, tokens: Tokens, context: Context) -> Checkpoint:
    """Train `base` on the training rows of `tokens`.

    Files: `adapter/` in PEFT's format, or `model/` where the model's own weights were trained; `curves.jsonl` (one
    point per step).

    Args:
        spec: the section `tune`; every `auto` is filled from the rule table.
        base: the base model.
        profile: not read; the budget was judged with the tokens (G0).
        tokens: the tokenised rows.
        context: `scratch` keeps step checkpoints and border states, so that a killed run goes on where it was.

    Raises:
        UserError: there is nothing to train on; the strategy does not fit the model; the loss diverges; bf16 is asked
            for and the hardware does not compute in it.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
    """
    from tunesmith.models.adapters import save_trained
    from tunesmith.tune.batches import Plan, read_rows
    from tunesmith.tune.loop import train
    from tunesmith.tune.optimise import trained_weights

    path = tokens.file("rows.parquet")
    rows, valid = read_rows(path, "train"), read_rows(path, "valid")
    if not rows:
        raise UserError(
            Problem("nothing-to-train", "no training row has a trained token", "see `tunesmith data preview`")
        )
    filled, choices = rules.resolve(spec, base, len(rows))
    for choice in choices:
        context.events.tell("note", NAME, f"{choice.name} = {choice.value}: {choice.reason}", **choice._asdict())
    model = _adapted(filled, base, context.seed)
    _same_threads(context.scratch / "threads.json")
    plan = Plan(
        rows=rows,
        rows_per_step=int(filled.rows_per_step),
        epochs=float(filled.epochs),
        prefix=tokens.shared_prefix,
        micro_tokens=int(filled.tokens_per_micro_batch),
        seed=context.seed,
    )
    seams = _seams(filled, plan, valid, model=model, context=context)
    outcome = train(model, seams)
    save_trained(model, context.out, base_path=base.path)
    lines = "".join(json.dumps(point, allow_nan=False) + "\n" for point in outcome.points)
    files.write_text(context.out / "curves.jsonl", lines)
    trainable = sum(weight.numel() for weight in trained_weights(model).values())
    return _checkpoint(seams, outcome, base=base, tokens=tokens, trainable=trainable)


def _adapted(spec: TuneSpec, base: Base, seed: int) -> Any:
    """The base model on the device, with the strategy's weights trained."""
    import torch

    from tunesmith.models.load import load_model
    from tunesmith.tune.precision import dtype_for

    device = "cuda" if torch.cuda.is_available() else "cpu"
    strategy = rules.STRATEGIES.build(spec.strategy, where="tune.strategy")
    dtype = dtype_for(spec.precision, device)
    model = load_model(Path(base.path), dtype=dtype, device=device, weights=strategy.weight_format)
    try:
        adapted = strategy.apply(model.requires_grad_(False), seed=seed)
    except ValueError as error:
        raise UserError(rules.misfit(error)) from None
    if spec.activation_checkpointing:
        # Transformers 5.20 renamed the method; the first argument is the same.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        for module in model.modules():
            # Layers checkpoint only in training mode; their inner modules stay in evaluation mode (no dropout).
            module.training = module.training or getattr(module, "gradient_checkpointing", False)
    return adapted


def _same_threads(path: Path) -> None:
    """Compute with the threads that this run began with: another number of them rounds sums in another order."""
    import torch

    if path.is_file():
        torch.set_num_threads(int(files.read_json(path)))
    else:
        files.write_json(path, torch.get_num_threads())


def _seams(spec: TuneSpec, plan: Plan, valid: list[Row], *, model: Any, context: Context) -> Seams:
    """Everything the loop is made of, the forward chosen by trying, the frozen bottom's states made."""
    from tunesmith.tune.batches import begins_alike, cut_batches, shared_prefix
    from tunesmith.tune.checkpoint import Keeper
    from tunesmith.tune.forward import choose_forward
    from tunesmith.tune.loop import Seams, mean_loss
    from tunesmith.tune.objective import Objective

    events, rows = context.events, list(plan.rows)
    together = all(begins_alike(row, rows[0], plan.prefix) for row in valid)
    everything = [*rows, *valid] if together else rows
    forward, why = choose_forward(model, everything)
    if why:
        events.tell("warning", NAME, f"rows are run one at a time: {why}")
    trained = _with_states(forward, everything, plan.prefix, context=context)
    if together:
        forward, prefix, held_out = trained, plan.prefix, everything
    else:
        prefix, held_out = shared_prefix(valid), valid
        forward = forward if why == "" else choose_forward(model, valid)[0]
    batches = cut_batches(held_out, range(len(held_out) - len(valid), len(held_out)), prefix, plan.micro_tokens)
    return Seams(
        spec=spec,
        plan=plan,
        forward=trained,
        objective=Objective.build(spec.objective),
        keeper=Keeper(context.scratch / "steps", lambda text: events.tell("warning", NAME, text)),
        events=events,
        evaluate=(lambda: mean_loss(forward, batches, model)) if valid else None,
    )


def _with_states(forward: Forward, rows: list[Row], prefix: int, *, context: Context) -> Forward:
    """A packed forward that reads the frozen bottom's states of `rows` from disk; any other as it is."""
    from tunesmith.tune.forward import PackedForward
    from tunesmith.tune.states import border_states

    if not isinstance(forward, PackedForward):
        return forward

    def progress(batches: Any, *, total: int) -> Any:
        message = f"states of the {forward.trunk.border} frozen layers, once for the whole run"
        return context.events.track(batches, NAME, message, total=total, unit="batches")

    folder = context.scratch / "border"
    states, why = border_states(forward.trunk, rows, prefix=prefix, folder=folder, progress=progress)
    if why:
        context.events.tell("note", NAME, f"border states are not kept: {why}")
    return PackedForward(forward.trunk, states)


def _checkpoint(seams: Seams, outcome: Outcome, *, base: Base, tokens: Tokens, trainable: int) -> Checkpoint:
    points, plan = outcome.points, seams.plan
    tenth = max(1, len(points) // 10)

    def mean(part: list[dict[str, Any]]) -> float:
        tokens = sum(point["trained_tokens"] for point in part)
        return float(
            sum(point.get("cross_entropy", point["loss"]) * point["trained_tokens"] for point in part) / tokens
        )

    read = sum(len(plan.rows[number].ids) for step in range(plan.steps) for number in plan.numbers(step))
    return Checkpoint(
        base=base.id,
        base_path=base.path,
        base_revision=base.revision,
        strategy=seams.spec.strategy.model_dump(mode="json"),
        trainable=trainable,
        steps=plan.steps,
        epochs=plan.steps / plan.steps_per_epoch,
        seed=plan.seed,
        loss_first=mean(points[:tenth]),
        loss_last=mean(points[-tenth:]),
        valid_loss=points[-1].get("valid_loss"),
        chat_template_hash=tokens.chat_template_hash,
        seconds=outcome.seconds,
        tokens_per_second=read / max(outcome.seconds, 1e-9),
        peak_memory_gb=_peak_memory_gb(),
        versions={name: version(name) for name in _LIBRARIES},
    )


def _peak_memory_gb() -> float:
    """Largest resident memory of this process so far, in GB (10^9 bytes)."""
    import sys

    try:
        import resource
    except ImportError:  # Windows has no such module
        import psutil

        return float(psutil.Process().memory_info().rss / 1e9)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
