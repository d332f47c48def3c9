"""Gate G0: do model, method, memory, time, disk and licence fit this machine and the profile's budget?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunesmith.core.types import Base, GateVerdict, Profile, Reason, VerdictName
from tunesmith.tune.spec import TuneSpec


def choose_checkpointing(
    spec: TuneSpec, budget_gb: float | None, predicted: Callable[[bool], dict[str, Any]]
) -> dict[str, Any]:
    """The estimate of the training as it will be run, with the choice in it under `checkpointing`: `value`, `reason`.

    Where the section leaves it open, activations are computed again only if the training would not fit into memory
    otherwise, and fits with it.

    Args:
        spec: the section `tune`.
        budget_gb: memory that the profile allows; None: all.
        predicted: the estimate with activation checkpointing, or without.
    """
    wanted = spec.activation_checkpointing
    if wanted != "auto":
        return {**predicted(wanted == "on"), "checkpointing": {"value": wanted, "reason": "the project file says so"}}
    who, limit = memory_limit(budget_gb)
    plain = predicted(False)
    need = plain["memory_gb"]
    if need <= limit:
        reason = f"not needed: training takes about {need:.1f} GB, and {who} {limit:.1f} GB"
        return {**plain, "checkpointing": {"value": "off", "reason": reason}}
    sparing = predicted(True)
    less = sparing["memory_gb"]
    if less > limit:
        reason = f"it would not help: {need:.1f} GB without it, {less:.1f} GB with it, and {who} {limit:.1f} GB"
        return {**plain, "checkpointing": {"value": "off", "reason": reason}}
    more = sparing["minutes"] / plain["minutes"] - 1 if plain["minutes"] else 0.0
    reason = f"training would take {need:.1f} GB without it and {who} {limit:.1f} GB; with it {less:.1f} GB, for "
    reason += f"{more:.0%} more time"
    return {**sparing, "checkpointing": {"value": "on", "reason": reason}}


def memory_limit(budget_gb: float | None) -> tuple[str, float]:
    """Who sets the limit of memory, in words, and what it is in GB: what is free now, or the budget if that is less."""
    from tunesmith.models.hardware import look

    machine = look()
    limits = {"this machine has free": machine.gpus[0].free_gb if machine.gpus else machine.free_gb}
    if budget_gb is not None:
        limits["the budget allows"] = budget_gb
    return min(limits.items(), key=lambda item: item[1])


def judge_feasible(predicted: dict[str, Any], *, base: Base, profile: Profile, context_tokens: int) -> GateVerdict:
    """The verdict of G0 from the estimate, the machine, the profile's budget and its licences."""
    return GateVerdict.of(
        "G0",
        [
            _memory(predicted, profile),
            _time(predicted, profile),
            _disk(predicted),
            _licence(base, profile),
            _context(base, context_tokens),
        ],
    )


def _memory(predicted: dict[str, Any], profile: Profile) -> Reason:
    who, limit = memory_limit(profile.memory_gb)
    need, workers = predicted["memory_gb"], predicted["workers"]
    message = "training needs about " if workers == 1 else f"training by {workers} workers needs about "
    message += f"{need:.1f} GB{' on each GPU' if workers > 1 and predicted['device'] == 'cuda' else ''}; {who} "
    message += f"{limit:.1f} GB"
    choice = predicted["checkpointing"]
    if choice["value"] == "on" or need > limit:
        message += f". Activation checkpointing is {choice['value']}: {choice['reason']}"
    evidence = {"memory_gb": need, "limit_gb": limit, "parts_gb": predicted["parts_gb"]}
    evidence |= {"largest_moment": predicted["largest_moment"], "moments_gb": predicted["moments_gb"]}
    evidence |= {"activation_checkpointing": choice, "workers": workers}
    return Reason(code="memory", message=message, verdict=_fits(need, limit), evidence=evidence)


def _time(predicted: dict[str, Any], profile: Profile) -> Reason:
    minutes, limit = predicted["minutes"], profile.train_minutes
    message = f"training takes about {minutes:.1f} minutes at {predicted['gflops']:.0f} GFLOP/s"
    message += "; the profile sets no limit" if limit is None else f"; the budget is {limit:g} minutes"
    if predicted["slower"] > 1:
        message += f"; 4-bit weights are unpacked for every product, {predicted['slower']:g} times the time on this CPU"
    evidence = {"minutes": minutes, "limit_minutes": limit, "tera_operations": predicted["tera"]}
    evidence |= {"parts_minutes": predicted["parts_minutes"], "phases": predicted["phases"]}
    return Reason(code="time", message=message, verdict=_fits(minutes, limit), evidence=evidence)


def _disk(predicted: dict[str, Any]) -> Reason:
    need, free = predicted["disk_gb"], predicted["disk_free_gb"]
    message = f"training writes about {need:.1f} GB; the disk has {free:.1f} GB free"
    evidence = {"disk_gb": need, "free_gb": free, "parts_disk_gb": predicted["parts_disk_gb"]}
    return Reason(code="disk", message=message, verdict=_fits(need, free), evidence=evidence)


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
