"""What is found beyond single measures: slices that got worse, gaps between groups, flips, and a remedy."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.core.types import Measure, Profile
from tunesmith.evaluate.asking import Asked
from tunesmith.evaluate.fairness.asking import FairnessAsked, asked_measures
from tunesmith.evaluate.fairness.measures import fairness_measures
from tunesmith.evaluate.fairness.threshold import Decided, thresholds
from tunesmith.evaluate.measuring import Sides, build_metrics, main_measure
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.rows import Row, paired
from tunesmith.evaluate.scoring import scorer_of_measure
from tunesmith.evaluate.slices import Found, find_worse
from tunesmith.evaluate.spec import EvaluateSpec
from tunesmith.evaluate.statistics import Sampling


@dataclass(frozen=True)
class Findings:
    """What the report tells beside the measures.

    Args:
        measures: of fairness and BBQ.
        slices: what the search for worse slices came to.
        against: which answers of the base that search compares with, `base` or `base_fair`.
        declared: slices that the project file names, by a protected attribute or `evaluate.slices`.
        fairness: rates by group, flips, remedies; JSON values.
        judge: what the judge said, counted; JSON values.
        notes: what could not be told.
    """

    measures: tuple[Measure, ...] = ()
    slices: Found = field(default_factory=lambda: Found(0, ()))
    against: str = "base"
    declared: tuple[str, ...] = ()
    fairness: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def all_findings(
    sides: Sides, fair: FairnessAsked, asked: Asked, *, spec: EvaluateSpec, profile: Profile, seed: int
) -> Findings:
    """Search slices, compare groups, count flips, try the remedy.

    Args:
        sides: scored rows of each model.
        fair: what was asked for fairness.
        asked: what the expert said, with the likelihood of every label.
        spec: the section.
        profile: the goal.
        seed: of resamples.
    """
    sampling = Sampling(level=spec.level, resamples=spec.resamples, seed=seed)
    main = main_measure(spec, profile)
    metric: RowMetric = next(m for m in build_metrics(spec, profile) if m.name == main)
    scorer = scorer_of_measure(metric, profile)
    against, theirs = stronger_base(sides, scorer)
    slices = find_worse(sides.expert, theirs, metric, scorer=scorer, sampling=sampling)
    groups = fairness_measures(sides.expert, profile, spec.fairness, level=spec.level, confident=sides.expert_labels)
    before: list[Measure] = []
    for model, rows in (("base", sides.base), ("base_fair", sides.base_fair)):
        base = fairness_measures(rows, profile, spec.fairness, level=spec.level, confident=sides.base_fair)
        before += [m.model_copy(update={"model": model}) for m in base.measures if m.slice == "all" and rows]
    more, flips = asked_measures(fair, sides.expert, profile, sampling)
    remedies, notes = _remedies(sides.expert_labels, asked, profile, spec, seed)
    table = {"groups": list(groups.table), "flips": flips, "remedies": remedies}
    return Findings(
        measures=(*groups.measures, *before, *more),
        slices=slices,
        against=against,
        declared=tuple(_declared(sides.expert, profile, spec)),
        fairness=table if groups.table or flips or more else {},
        notes=(*groups.notes, *fair.notes, *notes),
    )


def stronger_base(sides: Sides, scorer: str) -> tuple[str, Sequence[Row]]:
    """The base's answers that are better on the rows that it was asked in both ways: by likelihood, or its own words.

    Beside a base that puts every right answer into a sentence, nothing could be found to have got worse.
    """
    own, fair = paired(sides.base, sides.base_fair)

    def right(rows: Sequence[Row]) -> float:
        return sum((row.scores[scorer].value or 0.0) for row in rows if scorer in row.scores)

    return ("base_fair", sides.base_fair) if right(fair) > right(own) else ("base", sides.base)


def _declared(rows: Sequence[Row], profile: Profile, spec: EvaluateSpec) -> list[str]:
    """The slices that the project file names."""
    found = {
        f"{name}={row.example.attributes[name]}"
        for row in rows
        for name in (*profile.protect, *spec.slices)
        if name in row.example.attributes
    }
    return sorted(found)


def _remedies(
    rows: Sequence[Row], asked: Asked, profile: Profile, spec: EvaluateSpec, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Thresholds per group, for each protected attribute of a yes-or-no task whose likelihoods are known."""
    favourable = spec.fairness.favourable or list(profile.labels[:1])
    two_sided = len(profile.labels) == 2 or spec.fairness.favourable
    if not (profile.protect and two_sided and asked.options):
        return [], []
    if importlib.util.find_spec("fairlearn") is None:
        return [], ["thresholds by group were not tried: pip install tunesmith[fairness]"]
    found, notes = [], []
    for attribute in profile.protect:
        decided = _decided(
            [r for r in rows if attribute in r.example.attributes], attribute, asked, profile, favourable
        )
        told = thresholds(decided, seed=seed, level=spec.level)
        if told["unjudged"]:
            notes.append(f"thresholds by '{attribute}' were not tried: {told['unjudged']}")
        else:
            found.append({"attribute": attribute, "favourable": favourable, **comparable(told, spec.fairness.fewest)})
    return found, notes


def comparable(told: dict[str, Any], fewest: int) -> dict[str, Any]:
    """A remedy as it may be told: no gap where a group is smaller than the gate would compare."""
    if told["fewest"] >= fewest:
        return told | {"needed": fewest}
    none = {"gap": None, "low": None, "high": None}
    return told | {"needed": fewest} | {side: told[side] | none for side in ("before", "after")}


def _decided(rows: Sequence[Row], attribute: str, asked: Asked, profile: Profile, favourable: Sequence[str]) -> Decided:
    known = [row for row in rows if row.expected is not None and row.example.id in asked.options]
    return Decided(
        ids=[row.example.id for row in known],
        score_N=np.array([_probability(asked, row.example.id, profile, favourable) for row in known], dtype=np.float64),
        truth_N=np.array([row.expected in favourable for row in known], dtype=np.bool_),
        groups=[row.example.attributes[attribute] for row in known],
        clusters=[row.cluster for row in known],
    )


def _probability(asked: Asked, key: str, profile: Profile, favourable: Sequence[str]) -> float:
    """The share of the favourable labels in the probability of all labels (softmax of total log-probabilities)."""
    logs = [likelihood.log_probability for likelihood in asked.options[key]]
    best = max(logs)
    if not math.isfinite(best):
        return 0.5
    shares = [math.exp(x - best) for x in logs]
    return sum(s for s, label in zip(shares, profile.labels, strict=True) if label in favourable) / sum(shares)
