"""Stage `evaluate`: expert against base on held-out rows and general ability; measures, verdicts, report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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
from tunesmith.evaluate.benchmarks import benchmark_measures, run_benchmarks
from tunesmith.evaluate.fairness.asking import FairnessAsked, Question, ask_fairness, with_base
from tunesmith.evaluate.findings import Findings, all_findings
from tunesmith.evaluate.gates import in_force_reason, quality_gate, safety_gate, slices_reason, target_reason
from tunesmith.evaluate.judge import human_labels, judge_measures, judge_pairs, open_judge
from tunesmith.evaluate.measuring import (
    Sides,
    better_base,
    build_metrics,
    choice_measures,
    class_measures,
    find,
    main_measure,
    quality_measures,
    slice_measures,
    slice_names,
    speed_measures,
    without_doubles,
)
from tunesmith.evaluate.multiplicity import with_adjusted
from tunesmith.evaluate.report.content import Story, content
from tunesmith.evaluate.report.page import write_report
from tunesmith.evaluate.retention import General, ask_general, general_measures
from tunesmith.evaluate.rows import Row, read_lines
from tunesmith.evaluate.safety import Inputs, ask_safety, safety_reasons
from tunesmith.evaluate.scoring import build_scorers, score_rows
from tunesmith.evaluate.seeds import seed_reports, seeds_reason, to_stronger_base
from tunesmith.evaluate.spec import MEASURES, EvaluateSpec, check, outside
from tunesmith.evaluate.statistics import Sampling

__all__ = ["NAME", "VERSION", "check", "outside", "run"]

NAME = "evaluate"
VERSION = "4"


@dataclass(frozen=True)
class More:
    """What the expert was asked beyond the held-out rows and the general suite."""

    fairness: FairnessAsked
    benchmarks: list[dict[str, Any]]
    safety: tuple[list[Measure], list[str]]


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
    """Ask the expert what the base was asked, compare them row by row, and decide G3 and G4.

    Files: `report.html`, `report.json`, `answers.jsonl` (one line per held-out row with both models' words).
    """
    examples, left_out = held_out(snapshot, spec, seed=context.seed)
    others = seed_reports(spec.other_seeds, context.root)
    theirs = _kept(baseline)
    how = Inputs(spec, profile, snapshot, context, build_scorers(spec, profile), NAME, base)
    asked, general, more = _ask_expert(expert, examples, how)
    ours = (asked, general)
    sides = _scored(examples, asked, theirs[0], profile=profile, scorers=dict(how.scorers))
    found, notes = _measures(spec, profile, sides, (general, theirs[1]), context.seed)
    fair = with_base(more.fairness, read_lines(baseline.file("bbq.jsonl")))
    findings = all_findings(sides, fair, asked, spec=spec, profile=profile, seed=context.seed)
    if spec.judge.model:
        findings = _with_judge(findings, sides, spec=spec, base=base, context=context)
    found += benchmark_measures(
        more.benchmarks, read_lines(baseline.file("benchmarks.jsonl")), _sampling(spec, context.seed)
    )
    measures = tuple(with_adjusted(without_doubles([*found, *findings.measures, *more.safety[0]])))
    main = main_measure(spec, profile)
    reasons = [in_force_reason(expert, ours, theirs), slices_reason(findings.slices, findings.declared)]
    if others:
        higher = main not in MEASURES or MEASURES[main].higher_is_better
        mine = to_stronger_base(measures, main, higher=higher)
        reasons.append(seeds_reason(mine, checkpoint.seed, others, higher=higher))
    gates = (
        quality_gate(profile, measures, main=main, spec=spec, others=reasons),
        safety_gate(profile, measures, safety_reasons(profile, measures)),
    )
    notes = [
        *_limits(checkpoint, examples, left_out, other_seeds=len(others)),
        *asked.notes,
        *theirs[0].notes,
        *notes,
        *findings.notes,
        *more.safety[1],
        *_reading(sides),
    ]
    report = Report(
        measures=measures,
        targets=tuple(_target_line(target, measures) for target in profile.targets),
        seeds=(checkpoint.seed, *(report.seed for report in others)),
        notes=tuple(dict.fromkeys(notes)),
        gates=gates,
    )
    story = Story(base, profile, snapshot, tokens, checkpoint, expert, sides, ours, theirs, findings)
    context.events.tell("note", NAME, "writing the report")
    write_report(context.out, content(report, story, spec, run=context.run), sides)
    return report


def _kept(baseline: Baseline) -> tuple[Asked, General]:
    return Asked.read(baseline.file("answers.jsonl")), General.of(read_lines(baseline.file("general.jsonl")))


def _ask_expert(expert: Expert, examples: list[Example], how: Inputs) -> tuple[Asked, General, More]:
    spec, profile, context, events = how.spec, how.profile, how.context, how.context.events
    with context.open(expert) as answerer:
        asked = ask(answerer, examples, spec=spec, profile=profile, events=events, stage=NAME, seed=context.seed)
        general = ask_general(answerer, spec.retention, languages=profile.languages, events=events, stage=NAME)
        question = Question(spec, profile, events, NAME, context.seed, context.root)
        more = More(
            ask_fairness(answerer, examples, question),
            run_benchmarks(answerer, spec.benchmarks, context.root),
            ask_safety(answerer, examples, asked, how),
        )
    return asked, general, more


def _with_judge(findings: Findings, sides: Sides, *, spec: EvaluateSpec, base: Base, context: Context) -> Findings:
    """The findings with a judge's word on as many rows as the section asks for, taken in their order."""
    human = human_labels(spec.judge.human, context.root)
    ours, theirs = (side[: spec.judge.rows] for side in (sides.expert, sides.base))
    with open_judge(spec.judge, context.root, context.events) as judge:
        judged = judge_pairs(judge, ours, theirs, spec.judge.criteria)
    measures, counts = judge_measures(judged, human, _sampling(spec, context.seed))
    doubts = [] if human else ["nobody has labelled pairs of answers: how far the judge can be trusted is not known"]
    if spec.judge.model == base.name:
        doubts.append("the judge is the base model itself, and models prefer their own words")
    told = {"model": spec.judge.model, **counts}
    return replace(findings, measures=(*findings.measures, *measures), judge=told, notes=(*findings.notes, *doubts))


def _sampling(spec: EvaluateSpec, seed: int) -> Sampling:
    return Sampling(level=spec.level, resamples=spec.resamples, seed=seed)


def _reading(sides: Sides) -> list[str]:
    if not sides.fair_reading:
        return []
    return [f"the base's label likelihoods are compared {sides.fair_reading}: of the two ways the better for it"]


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
        expert_choices=likeliest(ours, True),
        base_choices=fair["per token"],
        expert_alone=rows(ours, "alone"),
        base_alone=rows(theirs, "alone"),
    )


def _measures(
    spec: EvaluateSpec, profile: Profile, sides: Sides, general: tuple[General, General], seed: int
) -> tuple[list[Measure], list[str]]:
    sampling = _sampling(spec, seed)
    metrics = build_metrics(spec, profile)
    names, notes = slice_names(sides.expert, spec, profile)
    found = [
        *quality_measures(sides, metrics, sampling),
        *general_measures(*general, sampling),
        *speed_measures(sides, sampling),
        *choice_measures(sides, sampling),
        *(class_measures(sides, profile.labels, sampling) if profile.labels else []),
        *slice_measures(sides, metrics, names, main=main_measure(spec, profile), sampling=sampling),
    ]
    return found, notes


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


def _limits(checkpoint: Checkpoint, examples: list[Example], left_out: int, *, other_seeds: int) -> list[str]:
    """What was not shown, said before anybody asks."""
    one = f"trained with one seed ({checkpoint.seed}): the spread between seeds was not measured"
    notes = [] if other_seeds else [one]
    if left_out:
        notes.append(f"{left_out} of {left_out + len(examples)} held-out rows were not asked (evaluate.at_most_rows)")
    if len(examples) < 200:
        notes.append(f"only {len(examples)} held-out rows: small differences cannot be seen")
    return notes
