"""Gate G0: do model, method, memory, time and licence fit this machine and the profile's budget?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import UserError
from tunesmith.core.types import Base, GateVerdict, Profile, Reason, VerdictName
from tunesmith.tune import rules
from tunesmith.tune.render import TokenRow
from tunesmith.tune.spec import TuneSpec

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape


def estimate(spec: TuneSpec, rows: Sequence[TokenRow], *, base: Base, prefix: int) -> dict[str, Any]:
    """Memory (GB) and time (minutes) of the training, and what they are made of.

    Args:
        spec: the section with every `auto` filled.
        rows: the training rows that have something to train.
        base: the base model.
        prefix: tokens that all of them share; counted once a micro-batch.
    """
    from tunesmith.models import estimate as estimates
    from tunesmith.models.shape import shape_of_folder, with_weights

    folder = Path(base.path)
    shape = with_weights(shape_of_folder(folder), folder)
    own = [len(row.ids) - prefix for row in rows]
    steps = -(-len(rows) // int(spec.rows_per_step))
    own_a_step, limit = sum(own) / max(1, steps), int(spec.tokens_per_micro_batch)
    micro = max(1, math.ceil(own_a_step / max(1, limit - prefix)))
    step_tokens = min(limit, prefix + round(own_a_step))
    work = estimates.Work(
        **method_work(spec, shape, bytes_each=2 if _in_bf16(spec) else 4),
        tokens=sum(own) + prefix * steps * micro,
        trained_tokens=sum(sum(row.trained) for row in rows),
        epochs=float(spec.epochs),
        step_tokens=max(step_tokens, max((len(row.ids) for row in rows), default=1)),
        row_tokens=round(sum(len(row.ids) for row in rows) / max(1, len(rows))),
    )
    found = estimates.estimate_here(shape, work)
    counts = {"tokens": work.tokens, "trainable": work.trainable, "step_tokens": work.step_tokens}
    return {**found.as_dict(), **counts, "slower": work.slower}


def method_work(spec: TuneSpec, shape: Shape, *, bytes_each: float) -> dict[str, Any]:
    """The fields of `models.estimate.Work` that follow from the strategy.

    Args:
        spec: the section with every `auto` filled.
        shape: the model with its weights, see `models.shape.with_weights`.
        bytes_each: of a number in memory and in arithmetic.

    Raises:
        UserError: the strategy does not fit the model, and why.
    """
    from tunesmith.models.estimate import ALLOCATOR_SHARE, ALLOCATOR_SHARE_INNER, packed_bytes
    from tunesmith.models.hardware import look
    from tunesmith.models.nf4 import CPU_SLOWER

    strategy = rules.STRATEGIES.build(spec.strategy, where="tune.strategy")
    try:
        trainable = strategy.trainable(shape)
    except ValueError as error:
        raise UserError(rules.misfit(error)) from None
    packed = strategy.weight_format == "nf4"
    lowest = strategy.border(shape.layers)
    return {
        "trainable": trainable,
        "lowest": lowest,
        "cached": lowest > 0,
        "adapter": strategy.beside,
        "checkpointing": spec.activation_checkpointing,
        "weight_bytes": packed_bytes(shape, bytes_each) if packed else bytes_each,
        "compute_bytes": bytes_each,
        "allocator": ALLOCATOR_SHARE_INNER if _adapts_inner(strategy) else ALLOCATOR_SHARE,
        "slower": CPU_SLOWER if packed and not look().gpus else 1.0,
    }


def _adapts_inner(strategy: Any) -> bool:
    """Whether adapters lie on the feed-forward part; a strategy with no choice of roles has them nowhere else."""
    from tunesmith.tune.strategies._adapters import named

    roles = named(strategy.roles) if hasattr(strategy, "roles") else ("gate",)
    return strategy.beside and bool({"gate", "up", "down", "experts"} & set(roles))


def judge_feasible(predicted: dict[str, Any], *, base: Base, profile: Profile, context_tokens: int) -> GateVerdict:
    """The verdict of G0 from the estimate, the machine, the profile's budget and its licences."""
    return GateVerdict.of(
        "G0",
        [
            _memory(predicted, profile),
            _time(predicted, profile),
            _licence(base, profile),
            _context(base, context_tokens),
        ],
    )


def _memory(predicted: dict[str, Any], profile: Profile) -> Reason:
    from tunesmith.models.hardware import look

    machine = look()
    free = machine.gpus[0].free_gb if machine.gpus else machine.free_gb
    limits = {"this machine has free": free}
    if profile.memory_gb is not None:
        limits["the budget allows"] = profile.memory_gb
    who, limit = min(limits.items(), key=lambda item: item[1])
    need = predicted["memory_gb"]
    message = f"training needs about {need:.1f} GB; {who} {limit:.1f} GB"
    evidence = {"memory_gb": need, "limit_gb": limit, "parts_gb": predicted["parts_gb"]}
    return Reason(code="memory", message=message, verdict=_fits(need, limit), evidence=evidence)


def _time(predicted: dict[str, Any], profile: Profile) -> Reason:
    minutes, limit = predicted["minutes"], profile.train_minutes
    message = f"training takes about {minutes:.1f} minutes at {predicted['gflops']:.0f} GFLOP/s"
    message += "; the profile sets no limit" if limit is None else f"; the budget is {limit:g} minutes"
    if predicted.get("slower", 1.0) > 1:
        message += f"; 4-bit weights are unpacked for every product, {predicted['slower']:g} times the time on this CPU"
    evidence = {"minutes": minutes, "limit_minutes": limit, "tera_operations": predicted["tera"]}
    return Reason(code="time", message=message, verdict=_fits(minutes, limit), evidence=evidence)


def _licence(base: Base, profile: Profile) -> Reason:
    evidence = {"licence": base.licence, "accepted": list(profile.licences)}
    if not profile.licences:
        message = f"the base model's licence is {base.licence or 'not known'}; the profile names none to hold it to"
        return Reason(code="licence", message=message, verdict="passed", evidence=evidence)
    if not base.licence:
        message = f"the base model's licence is not known; accepted are {', '.join(profile.licences)}"
        return Reason(code="licence", message=message, verdict="unknown", evidence=evidence)
    good = base.licence.lower() in {licence.lower() for licence in profile.licences}
    message = f"the base model's licence {base.licence} is {'' if good else 'not '}among {', '.join(profile.licences)}"
    return Reason(code="licence", message=message, verdict="passed" if good else "failed", evidence=evidence)


def _context(base: Base, context_tokens: int) -> Reason:
    message = f"rows may have {context_tokens:,} tokens; the model was made for {base.context:,}"
    evidence = {"context_tokens": context_tokens, "model": base.context}
    return Reason(code="context", message=message, verdict=_fits(context_tokens, base.context), evidence=evidence)


def _fits(need: float, limit: float | None) -> VerdictName:
    return "passed" if limit is None or need <= limit else "failed"


def _in_bf16(spec: TuneSpec) -> bool:
    import torch

    from tunesmith.tune.precision import dtype_for

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return dtype_for(spec.precision, device) == torch.bfloat16
