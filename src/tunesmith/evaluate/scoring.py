"""From answers to scored rows: which scorers run, and which label of the closed set an answer names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Example, Profile
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.label import find_label
from tunesmith.evaluate.spec import METRICS, SCORERS, EvaluateSpec, metric_uses


def build_scorers(spec: EvaluateSpec, profile: Profile) -> dict[str, Scorer]:
    """Every scorer that makes sense for the profile, those of the section with their own settings."""
    uses: dict[str, dict[str, Any]] = {"exact_match": {}, "rouge": {}, "bleu": {}}
    if profile.labels:
        uses = {"label": {}, "exact_match": {}}
    if profile.terms:
        uses["terminology"] = {}
    for use in metric_uses(spec, profile.task, profile.terms):
        needed = getattr(METRICS.get(use.use, where="evaluate.metrics"), "scorer", "")
        if needed and needed not in uses:
            uses[needed] = {}
    uses |= {use.use: use.settings for use in spec.scorers}
    return {name: scorer_of({"use": name, **settings}, profile) for name, settings in uses.items()}


def scorer_of(use: Any, profile: Profile, *, where: str = "evaluate.scorers") -> Scorer:
    """The scorer that `{use: NAME, ...}` describes; the profile's labels and terms are handed to one that takes them.

    Raises:
        UserError: unknown scorer or setting.
    """
    settings = {"use": use} if isinstance(use, str) else dict(use.model_dump() if hasattr(use, "model_dump") else use)
    takes = inspect.signature(SCORERS.get(str(settings["use"]), where=where)).parameters
    given = {"labels": profile.labels, "terms": profile.terms}
    handed = {key: value for key, value in given.items() if key in takes}
    scorer: Scorer = SCORERS.build({**handed, **settings}, where=where)
    return scorer


def scorer_of_measure(metric: RowMetric, profile: Profile) -> str:
    """Name of the scorer by which single rows are compared where `metric` is the main measure."""
    return metric.scorer or ("label" if profile.labels else "exact_match")


def score_rows(
    examples: Sequence[Example],
    answers: Mapping[str, Answer],
    *,
    scorers: Mapping[str, Scorer],
    labels: Sequence[str],
) -> list[Row]:
    """One row per example that `answers` (example id -> answer) holds, in the order of `examples`."""
    return [
        Row(
            example=example,
            answer=answers[example.id],
            scores={name: scorer.score(example, answers[example.id]) for name, scorer in scorers.items()},
            expected=find_label(example.reference, labels) if labels else None,
            predicted=_predicted(answers[example.id], labels),
        )
        for example in examples
        if example.id in answers
    ]


def _predicted(answer: Answer, labels: Sequence[str]) -> str | None:
    return find_label(answer.text, labels) if labels and answer.stop != "error" else None
