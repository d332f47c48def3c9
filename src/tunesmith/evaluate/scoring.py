"""From answers to scored rows: which scorers run, and which label of the closed set an answer names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Example, Profile
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.label import find_label
from tunesmith.evaluate.spec import SCORERS, EvaluateSpec


def build_scorers(spec: EvaluateSpec, profile: Profile) -> dict[str, Scorer]:
    """Every scorer that makes sense for the profile, those of the section with their own settings.

    The profile's `labels` and `terms` are handed to scorers that have such a setting.
    """
    uses: dict[str, dict[str, Any]] = {"exact_match": {}, "rouge": {}, "bleu": {}}
    if profile.labels:
        uses = {"label": {}, "exact_match": {}}
    if profile.terms:
        uses["terminology"] = {}
    uses |= {use.use: use.settings for use in spec.scorers}
    given = {"labels": profile.labels, "terms": profile.terms}
    built: dict[str, Scorer] = {}
    for name, settings in uses.items():
        takes = inspect.signature(SCORERS.get(name)).parameters
        handed = {key: value for key, value in given.items() if key in takes}
        built[name] = SCORERS.build({"use": name, **handed, **settings}, where="evaluate.scorers")
    return built


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
