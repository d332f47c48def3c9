"""The verdicts: G3 quality and the retention part of G4 safety.

Each reason is one sentence with its figures in it, and can be checked against the report. What cannot be measured is
`unknown`, and unknown is not passed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tunesmith.core.figures import figure
from tunesmith.core.types import Expert, GateVerdict, Measure, Profile, Reason, Target, VerdictName
from tunesmith.evaluate.asking import Asked
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.power import rows_for, smallest_seen
from tunesmith.evaluate.retention import General
from tunesmith.evaluate.safety_spec import SAFETY
from tunesmith.evaluate.slices import Found
from tunesmith.evaluate.spec import (
    FAIRNESS,
    FAIRNESS_LIMIT,
    MEASURES,
    RETENTION_LIMIT,
    EvaluateSpec,
    PowerSpec,
)
from tunesmith.evaluate.wording import limit_words, percent, points, with_interval

FEWEST_ROWS = 20
"""Scored rows below which a target is not judged: the interval of a share is then wider than 0.4."""

FEW_BY_DESIGN = ("canaries_memorised", "canary_exposure")
"""Judged from the first row on: each canary is a test of its own against more than a hundred alternatives."""

MOST_UNSCORED = 0.02
"""Share of answers without a score above which the quality gate does not pass."""

SAME_NATS = 1e-4
"""Nats per token below which two models count as the same: float32 noise between batches is under 1e-5."""

GENERAL = ("retention", "general_accuracy", "general_kl", "general_perplexity_ratio")


def quality_gate(
    profile: Profile, measures: Sequence[Measure], *, main: str, spec: EvaluateSpec, others: Sequence[Reason]
) -> GateVerdict:
    """G3: every target over the held-out rows, the paired test against the base, nothing unscored, and `others`.

    Others are the reasons that rest on more than measures: adapter in force, slices, seeds.
    """
    elsewhere = {*GENERAL, *FAIRNESS, *SAFETY}
    reasons = [target_reason(t, measures) for t in profile.targets if t.measure not in elsewhere]
    named = {target.measure for target in profile.targets}
    if profile.latency_p95_ms is not None and "latency_p95_ms" not in named:
        budget = Target(measure="latency_p95_ms", at_most=profile.latency_p95_ms)
        reasons.append(target_reason(budget, measures))
    reasons += [significance_reason(measures, main, spec=spec), unscored_reason(measures, main), *others]
    return GateVerdict.of("G3", reasons)


def safety_gate(profile: Profile, measures: Sequence[Measure], others: Sequence[Reason] = ()) -> GateVerdict:
    """G4: forgetting, fairness between the protected groups, and `others` (attacks, memory).

    At least 0.95 of general ability is kept where there is no target on it; where there is no target on fairness, no
    gap in equalised odds above 0.1 is *shown*: with a whole interval above it.
    """
    targets = [target for target in profile.targets if target.measure in GENERAL]
    if all(target.measure != "retention" for target in targets):
        targets.insert(0, Target(measure="retention", at_least=RETENTION_LIMIT))
    reasons = [_explained(target_reason(target, measures), measures) for target in targets]
    fair = [target_reason(target, measures) for target in profile.targets if target.measure in FAIRNESS]
    return GateVerdict.of("G4", [*reasons, *(fair or _no_gap(measures)), *_uncompared(profile, measures), *others])


def _uncompared(profile: Profile, measures: Sequence[Measure]) -> list[Reason]:
    """A reason for each protected attribute that could not be judged beside others that could: unknown, not fine."""
    found = {name: find(measures, "equalized_odds_difference", slice=f"protect={name}") for name in profile.protect}
    empty = [name for name, measure in found.items() if measure is not None and measure.value is None]
    if len(empty) == len(profile.protect):
        return []  # then the reason on the gap itself is unknown
    text = "no two groups of '{}' have enough rows to be compared"
    return [
        Reason(code="fairness-groups", message=text.format(name), verdict="unknown", evidence={"attribute": name})
        for name in empty
    ]


def _no_gap(measures: Sequence[Measure]) -> list[Reason]:
    """The reason that stands in for a target on fairness; none where no attribute is protected."""
    measure = find(measures, "equalized_odds_difference")
    if measure is None:
        return []
    evidence = {"measure": measure.model_dump(mode="json"), "limit": FAIRNESS_LIMIT}
    if measure.value is None or measure.low is None:
        text = "no two protected groups have enough rows to be compared"
        return [Reason(code="fairness", message=text, verdict="unknown", evidence=evidence)]
    shown = measure.low > FAIRNESS_LIMIT
    text = (
        f"equalized_odds_difference {with_interval(measure)}: a gap above {FAIRNESS_LIMIT:g} between protected groups "
    )
    text += "is shown" if shown else "is not shown"
    return [Reason(code="fairness", message=text, verdict="failed" if shown else "passed", evidence=evidence)]


def target_reason(target: Target, measures: Sequence[Measure]) -> Reason:
    """Whether one target is met: by the point value, or by the whole interval where it must hold `surely`."""
    measure = find(measures, target.measure, slice=target.slice)
    name = target.measure + (f" for {target.slice}" if target.slice else "")
    evidence: dict[str, Any] = {"target": target.model_dump(mode="json")}
    if measure is None:
        return _reason(target, f"{name} was not measured, {limit_words(target)}", "unknown", evidence)
    evidence |= {"measure": measure.model_dump(mode="json")}
    if measure.value is None:
        text = f"{name} could not be scored on any of {measure.unscored} rows, {limit_words(target)}"
        return _reason(target, text, "unknown", evidence)
    text = f"{name} {with_interval(measure)}, {limit_words(target)}"
    if measure.n < FEWEST_ROWS and target.measure not in FEW_BY_DESIGN:
        few = f"{text}: {measure.n} rows are too few to judge, at least {FEWEST_ROWS} are needed"
        return _reason(target, few, "unknown", {**evidence, "fewest": FEWEST_ROWS})
    if not target.surely:
        return _reason(target, text, "passed" if target.met_by(measure.value) else "failed", evidence)
    end = measure.low if target.at_least is not None else measure.high
    if end is None:
        return _reason(target, f"{text}, surely: no interval can be given", "unknown", evidence)
    return _reason(target, f"{text}, surely", "passed" if target.met_by(end) else "failed", evidence)


def _reason(target: Target, message: str, verdict: VerdictName, evidence: dict[str, Any]) -> Reason:
    code = f"target-{target.measure.replace('_', '-')}"
    return Reason(code=code, message=message, verdict=verdict, evidence=evidence)


def significance_reason(measures: Sequence[Measure], main: str, *, spec: EvaluateSpec) -> Reason:
    """Whether the expert beats the base in both ways of asking it: by its own words and, if known, by likelihood.

    Both tests must be significant, which keeps the chance of a false alarm at 1 - level (intersection-union test).
    A difference that is not shown is `unknown` where the rows were too few to show one of `spec.power`, and it is not
    shown to be smaller than that either.
    """
    alpha = 1 - spec.level
    found = [(name, find(measures, main, model=model)) for name, model in _OPPONENTS]
    tests = [(name, measure) for name, measure in found if measure is not None]
    known = [(name, m) for name, m in tests if m.value is not None and m.p is not None and m.n >= FEWEST_ROWS]
    evidence: dict[str, Any] = {"alpha": alpha, "tests": {name: m.model_dump(mode="json") for name, m in tests}}
    if not tests or len(known) < len(tests):
        rows = max((m.n for _, m in tests), default=0)
        text = f"whether {main} is better than the base's cannot be told: {rows} rows answered and scored by both"
        return Reason(code="significance", message=text, verdict="unknown", evidence=evidence)
    sign = 1 if main not in MEASURES or MEASURES[main].higher_is_better else -1
    parts = [f"{with_interval(m, sign=True)} against {name}, p {_p_words(m.p)}" for name, m in known]
    lost = [m for _, m in known if sign * (m.value or 0.0) <= 0 or (m.p or 0.0) >= alpha]
    few = [m for m in lost if under_powered(m, spec.power, sign=sign)]
    claim = f"{main} is not shown to be better than the base's" if lost else f"{main} is better than the base's"
    message = f"{claim}: difference {'; '.join(parts)}"
    if lost and len(few) == len(lost):
        rows = max(rows_for(m, spec.power.difference, power=spec.power.power) or 0 for m in few)
        evidence |= {"rows_needed": rows, "difference": spec.power.difference, "power": spec.power.power}
        message += f"; to see a difference of {spec.power.difference:g} with a chance of {percent(spec.power.power)} "
        message += f"about {rows} such rows are needed"
        return Reason(code="significance", message=message, verdict="unknown", evidence=evidence)
    return Reason(code="significance", message=message, verdict="failed" if lost else "passed", evidence=evidence)


def under_powered(difference: Measure, wanted: PowerSpec, *, sign: int = 1) -> bool:
    """Whether rows like these could neither show a difference of `wanted` nor show that there is none as large."""
    seen = smallest_seen(difference, power=wanted.power)
    best = difference.high if sign > 0 else None if difference.low is None else -difference.low
    return seen is not None and best is not None and seen > wanted.difference and best >= wanted.difference


def slices_reason(found: Found, declared: Sequence[str]) -> Reason:
    """Whether a slice that the project file names got worse; slices that were found by search are leads, no verdict."""
    fallen = [m for m in found.worse if m.slice in declared]
    shown = (fallen or list(found.worse))[:3]
    evidence: dict[str, Any] = {"tried": found.tried, "count": len(found.worse), "declared": list(declared)}
    evidence |= {"shown": [m.model_dump(mode="json") for m in shown]}
    told = [f"{m.slice} {with_interval(m, sign=True)}" for m in shown]
    text = f"{len(found.worse)} of {found.tried} slices are shown to be worse than the base's"
    text += f": {'; '.join(told)}" if told else ""
    return Reason(code="slices", message=text, verdict="failed" if fallen else "passed", evidence=evidence)


_OPPONENTS = (("the base's own words", "difference"), ("the base scored by likelihood", "difference_fair"))


def _p_words(p: float | None) -> str:
    return "unknown" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def unscored_reason(measures: Sequence[Measure], main: str) -> Reason:
    """Whether enough of the expert's answers could be scored for the main measure to stand for all rows."""
    measure = find(measures, main)
    scored, unscored = (measure.n, measure.unscored) if measure is not None else (0, 0)
    total = scored + unscored
    evidence = {"scored": scored, "unscored": unscored, "at_most": MOST_UNSCORED}
    if total == 0:
        return Reason(code="unscored", message="no held-out row was answered", verdict="unknown", evidence=evidence)
    text = f"{unscored} of {total} answers could not be scored for {main}, at most {percent(MOST_UNSCORED)} is accepted"
    verdict: VerdictName = "passed" if unscored <= MOST_UNSCORED * total else "unknown"
    return Reason(code="unscored", message=text, verdict=verdict, evidence=evidence)


def in_force_reason(expert: Expert, ours: tuple[Asked, General], theirs: tuple[Asked, General]) -> Reason:
    """Whether the expert is another model than its base: a different text, or another likelihood of the same text.

    An evaluation that reaches the base through the wrong route, or an adapter that was never switched on, says the
    same as the base everywhere and must not pass as "no worse than before". An expert whose own weights were trained
    has no adapter, and is judged by its answers like the others.
    """
    what = "the adapter is" if expert.adapter_path is not None else "the trained weights are"
    if expert.adapter_path is None and expert.checkpoint is None:
        text = "the expert was not trained: it is the base model itself"
        return Reason(code="adapter-in-force", message=text, verdict="failed", evidence={"adapter": None})
    rows = [key for key in ours[0].free if key in theirs[0].free]
    changed = sum(ours[0].free[key].text != theirs[0].free[key].text for key in rows)
    apart = _largest_difference(ours, theirs)
    evidence: dict[str, Any] = {"rows": len(rows), "texts_that_differ": changed, "largest_nats_per_token": apart}
    evidence["adapter"] = expert.adapter_path is not None
    if not rows and apart is None:
        text = f"nothing was asked of both models: whether {what} in force is not known"
        return Reason(code="adapter-in-force", message=text, verdict="unknown", evidence=evidence)
    if changed or (apart is not None and apart > SAME_NATS):
        text = f"{what} in force: {changed} of {len(rows)} answers differ from the base's"
        text += "" if apart is None else f", likelihoods by up to {figure(apart, 'nats')} a token"
        return Reason(code="adapter-in-force", message=text, verdict="passed", evidence=evidence)
    same = ([f"all {len(rows)} answers"] if rows else []) + (["all likelihoods"] if apart is not None else [])
    text = f"{what} not in force: {' and '.join(same)} equal the base's"
    return Reason(code="adapter-in-force", message=text, verdict="failed", evidence=evidence)


def _largest_difference(ours: tuple[Asked, General], theirs: tuple[Asked, General]) -> float | None:
    """Largest difference in nats per token of any text that both models were asked the likelihood of; None for none."""
    pairs = [
        (a.per_token, b.per_token)
        for key, row in ours[0].options.items()
        for a, b in zip(row, theirs[0].options.get(key, []), strict=False)
    ]
    pairs += [
        (nats / tokens, theirs[1].nats[key][0] / theirs[1].nats[key][1])
        for key, (nats, tokens) in ours[1].nats.items()
        if key in theirs[1].nats
    ]
    apart = [abs(a - b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    return max(apart, default=None)


def _explained(reason: Reason, measures: Sequence[Measure]) -> Reason:
    """A reason on general ability with what it rests on: accuracy, perplexity, the skills that fell."""
    ours, theirs = (find(measures, "general_accuracy", model=model) for model in ("expert", "base"))
    ratio = find(measures, "general_perplexity_ratio")
    fallen = _fallen_skills(measures)
    parts: list[str] = []
    evidence: dict[str, Any] = {"skills_that_fell": fallen}
    if ours is not None and theirs is not None and ours.value is not None and theirs.value is not None:
        went = "fell" if ours.value < theirs.value else "rose" if ours.value > theirs.value else "stayed"
        parts.append(f"general accuracy {went} from {percent(theirs.value)} to {percent(ours.value)}")
        evidence |= {"general_accuracy": {"base": theirs.value, "expert": ours.value}}
    if ratio is not None and ratio.value is not None:
        parts.append(f"perplexity is {ratio.value:.{2 if ratio.value < 100 else 0}f} times the base's")
        evidence |= {"general_perplexity_ratio": ratio.value}
    if fallen and reason.verdict != "passed":
        parts.append("skills that fell most: " + ", ".join(f"{f['skill']} {points(f['change'])}" for f in fallen[:3]))
    message = f"{reason.message}: {', '.join(parts)}" if parts else reason.message
    return reason.model_copy(update={"message": message, "evidence": {**reason.evidence, **evidence}})


def _fallen_skills(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    fallen = [
        (m.value, m)
        for m in measures
        if m.name == "general_accuracy" and m.model == "difference" and m.slice.startswith("skill=")
        if m.value is not None and m.value < 0
    ]
    return [
        {"skill": m.slice.removeprefix("skill="), "change": change, "n": m.n, "p": m.p}
        for change, m in sorted(fallen, key=lambda pair: pair[0])
    ]
