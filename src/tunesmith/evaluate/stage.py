"""Stage `evaluate`: expert against base on held-out rows and general ability; measures, verdicts, report."""

from __future__ import annotations

from tunesmith.core.protocols import Context, Scorer
from tunesmith.core.types import (
    Base,
    Baseline,
    Checkpoint,
    Example,
    Expert,
    Measure,
    Profile,
    Report,
    Snapshot,
    Target,
    Tokens,
)
from tunesmith.evaluate.asking import Asked, ask, by_likelihood, held_out
from tunesmith.evaluate.gates import in_force_reason, quality_gate, safety_gate, target_reason
from tunesmith.evaluate.measuring import (
    Sides,
    better_base,
    build_metrics,
    class_measures,
    find,
    main_measure,
    quality_measures,
    slice_measures,
    slice_names,
    speed_measures,
    without_doubles,
)
from tunesmith.evaluate.report.content import Story, content
from tunesmith.evaluate.report.page import write_report
from tunesmith.evaluate.retention import General, ask_general, general_measures
from tunesmith.evaluate.rows import Row, read_lines
from tunesmith.evaluate.scoring import build_scorers, score_rows
from tunesmith.evaluate.spec import EvaluateSpec, check
from tunesmith.evaluate.statistics import Sampling

__all__ = ["NAME", "VERSION", "check", "run"]

NAME = "evaluate"
VERSION = "1"


def run(  # noqa: PLR0913 - the runner fills inputs by the names in this signature
    spec: EvaluateSpec,
    *,
    base: Base,
    profile: Profile,
    snapshot: Snapshot,
    tokens: Tokens,
    checkpoint: Checkpoint,
    baseline: Baseline,
    expert: Expert,
    context: Context,
) -> Report:
    """Ask the expert what the base was asked, compare them row by row, and decide G3 and the retention part of G4.

    Files: `report.html`, `report.json`, `answers.jsonl` (one line per held-out row with both models' words).
    """
    examples, left_out = held_out(snapshot, spec, seed=context.seed)
    theirs = _kept(baseline)
    ours = _ask_expert(expert, examples, spec=spec, profile=profile, context=context)
    sides = _scored(examples, ours[0], theirs[0], profile=profile, scorers=build_scorers(spec, profile))
    measures, notes = _measures(spec, profile, sides, (ours[1], theirs[1]), context.seed)
    gates = (
        quality_gate(
            profile,
            measures,
            main=main_measure(spec, profile),
            level=spec.level,
            in_force=in_force_reason(expert, ours, theirs),
        ),
        safety_gate(profile, measures),
    )
    if sides.fair_reading:
        notes.append(
            f"the base's label likelihoods are compared {sides.fair_reading}: of the two ways the better for it"
        )
    notes = [*_limits(checkpoint, examples, left_out), *ours[0].notes, *theirs[0].notes, *notes]
    report = Report(
        measures=measures,
        targets=tuple(_target_line(target, measures) for target in profile.targets),
        seeds=(checkpoint.seed,),
        notes=tuple(dict.fromkeys(notes)),
        gates=gates,
    )
    story = Story(base, profile, snapshot, tokens, checkpoint, expert, sides, ours, theirs)
    context.events.tell("note", NAME, "writing the report")
    write_report(context.out, content(report, story, spec, run=context.run), sides)
    return report


def _kept(baseline: Baseline) -> tuple[Asked, General]:
    return Asked.read(baseline.file("answers.jsonl")), General.of(read_lines(baseline.file("general.jsonl")))


def _ask_expert(
    expert: Expert, examples: list[Example], *, spec: EvaluateSpec, profile: Profile, context: Context
) -> tuple[Asked, General]:
    events = context.events
    with context.open(expert) as answerer:
        asked = ask(answerer, examples, spec=spec, profile=profile, events=events, stage=NAME, seed=context.seed)
        general = ask_general(answerer, spec.retention, languages=profile.languages, events=events, stage=NAME)
    return asked, general


def _scored(
    examples: list[Example], ours: Asked, theirs: Asked, *, profile: Profile, scorers: dict[str, Scorer]
) -> Sides:
    """All answers as scored rows; the base's likelihoods are read in the way that is better for the base."""
    labels = profile.labels

    def rows(answers: Asked, kind: str) -> list[Row]:
        return score_rows(examples, getattr(answers, kind), scorers=scorers, labels=labels)

    def likeliest(asked: Asked, per_token: bool) -> list[Row]:
        found = by_likelihood(asked, labels, per_token=per_token)
        return score_rows(examples, found, scorers=scorers, labels=labels)

    fair = {"as a whole": likeliest(theirs, False), "per token": likeliest(theirs, True)}
    how = better_base(fair)
    return Sides(
        expert=rows(ours, "free"),
        base=rows(theirs, "free"),
        base_fair=fair[how],
        fair_reading=how if fair[how] else "",
        expert_labels=likeliest(ours, False),
        expert_alone=rows(ours, "alone"),
        base_alone=rows(theirs, "alone"),
    )


def _measures(
    spec: EvaluateSpec, profile: Profile, sides: Sides, general: tuple[General, General], seed: int
) -> tuple[tuple[Measure, ...], list[str]]:
    sampling = Sampling(level=spec.level, resamples=spec.resamples, seed=seed)
    metrics = build_metrics(spec, profile)
    names, notes = slice_names(sides.expert, spec, profile)
    found = [
        *quality_measures(sides, metrics, sampling),
        *general_measures(*general, sampling),
        *speed_measures(sides, sampling),
        *(class_measures(sides, profile.labels, sampling) if profile.labels else []),
        *slice_measures(sides, metrics, names, main=main_measure(spec, profile), sampling=sampling),
    ]
    return without_doubles(found), notes


def _target_line(target: Target, measures: tuple[Measure, ...]) -> dict[str, object]:
    """One row of the verdict table; values are None where they were not measured."""
    found = {
        model: find(measures, target.measure, model=model, slice=target.slice)
        for model in ("expert", "base", "base_fair")
    }
    expert = found["expert"]
    return {
        "target": target.model_dump(mode="json"),
        "unit": expert.unit if expert else "",
        "expert": expert.value if expert else None,
        "low": expert.low if expert else None,
        "high": expert.high if expert else None,
        "n": expert.n if expert else 0,
        "base": found["base"].value if found["base"] else None,
        "base_fair": found["base_fair"].value if found["base_fair"] else None,
        "verdict": target_reason(target, measures).verdict,
    }


def _limits(checkpoint: Checkpoint, examples: list[Example], left_out: int) -> list[str]:
    """What was not shown, said before anybody asks."""
    notes = [f"trained with one seed ({checkpoint.seed}): the spread between seeds was not measured"]
    if left_out:
        notes.append(f"{left_out} of {left_out + len(examples)} held-out rows were not asked (evaluate.at_most_rows)")
    if len(examples) < 200:
        notes.append(f"only {len(examples)} held-out rows: small differences cannot be seen")
    return notes
