"""All measures of one evaluation: per model, difference, slice and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.types import Measure, Profile
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.rows import Row, in_slice
from tunesmith.evaluate.spec import METRICS, UNSLICED, EvaluateSpec, metric_uses
from tunesmith.evaluate.statistics import Sampling

MOST_VALUES = 40
"""Values of one attribute that are sliced by; the rarer ones are named in the notes."""

_FAIR = {"accuracy", "f1", "precision", "recall"}
_PER_CLASS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Sides:
    """The scored rows of each model.

    Args:
        expert, base: the answers they wrote.
        base_fair: the base's likeliest labels; empty where labels or likelihoods are missing.
        fair_reading: how the base's likelihoods were compared, `as a whole` or `per token`; empty where there are none.
        expert_labels: the expert's likeliest labels with their probability, for calibration.
        expert_choices: its likeliest labels per token; `base_choices` those of the base.
        expert_alone, base_alone: requests of their own, for latency.
    """

    expert: Sequence[Row]
    base: Sequence[Row]
    base_fair: Sequence[Row] = ()
    fair_reading: str = ""
    expert_labels: Sequence[Row] = ()
    expert_choices: Sequence[Row] = ()
    base_choices: Sequence[Row] = ()
    expert_alone: Sequence[Row] = ()
    base_alone: Sequence[Row] = ()


def build_metrics(spec: EvaluateSpec, profile: Profile) -> list[RowMetric]:
    """The metrics of the section, or those that fit the profile's task."""
    uses = metric_uses(spec, profile.task, profile.terms)
    return [METRICS.build(use, where="evaluate.metrics") for use in uses]


def main_measure(spec: EvaluateSpec, profile: Profile) -> str:
    """The measure that the significance test is made on.

    Accuracy for a closed set; else the first target over the held-out rows; else the first metric.
    """
    names = [metric.name for metric in build_metrics(spec, profile)]
    if profile.labels and "accuracy" in names:
        return "accuracy"
    targeted = [target.measure for target in profile.targets if target.measure in names]
    quality = [name for name in targeted if name != "valid_output"]
    return (quality or names)[0]


def quality_measures(sides: Sides, metrics: Sequence[RowMetric], sampling: Sampling) -> list[Measure]:
    """Every metric over all rows: expert, base, base_fair, expert minus base, expert minus base_fair."""
    found = []
    for metric in metrics:
        found.append(metric.measure(sides.expert, model="expert", sampling=sampling))
        found.append(metric.measure(sides.base, model="base", sampling=sampling))
        found.append(metric.difference(sides.expert, sides.base, sampling=sampling))
        if sides.base_fair and metric.name in _FAIR:
            found.append(metric.measure(sides.base_fair, model="base_fair", sampling=sampling))
            found.append(metric.difference(sides.expert, sides.base_fair, model="difference_fair", sampling=sampling))
    return found


def speed_measures(sides: Sides, sampling: Sampling) -> list[Measure]:
    """Latency of lone requests, tokens per second of batches, and calibration where there are confidences."""
    rate, latency, calibration = (
        METRICS.build(name) for name in ("tokens_per_second", "latency_p95_ms", "calibration_error")
    )
    found = []
    for model, rows, alone in (("expert", sides.expert, sides.expert_alone), ("base", sides.base, sides.base_alone)):
        found.append(rate.measure(rows, model=model, sampling=sampling))
        if alone:
            found.append(latency.measure(alone, model=model, sampling=sampling))
    for model, rows in (("expert", sides.expert_labels), ("base_fair", sides.base_fair)):
        if rows:
            found.append(calibration.measure(rows, model=model, sampling=sampling))
    return found


def choice_measures(sides: Sides, sampling: Sampling) -> list[Measure]:
    """`choice_accuracy`: multiple choice by likelihood per token, both models and their difference."""
    if not sides.expert_choices:
        return []
    accuracy: RowMetric = METRICS.build("accuracy")
    sure, base = sides.expert_choices, sides.base_choices
    found = [accuracy.measure(sure, sampling=sampling), accuracy.measure(base, model="base", sampling=sampling)]
    found.append(accuracy.difference(sure, base, sampling=sampling))
    return [measure.model_copy(update={"name": "choice_accuracy"}) for measure in found]


def slice_measures(
    sides: Sides, metrics: Sequence[RowMetric], names: Sequence[str], *, main: str, sampling: Sampling
) -> list[Measure]:
    """Every metric for each named slice, expert and base, and the difference of the main measure."""
    found = []
    for name in names:
        expert, base = in_slice(sides.expert, name), in_slice(sides.base, name)
        for metric in metrics:
            found.append(metric.measure(expert, model="expert", slice=name, sampling=sampling))
            found.append(metric.measure(base, model="base", slice=name, sampling=sampling))
            if metric.name == main:
                found.append(metric.difference(expert, base, slice=name, sampling=sampling))
    return found


def class_measures(sides: Sides, labels: Sequence[str], sampling: Sampling) -> list[Measure]:
    """Precision, recall and F1 of each class that the held-out rows hold, as slices `label=...`."""
    met = {row.expected for row in sides.expert}
    found = []
    for label in [label for label in labels if label in met]:
        for name in _PER_CLASS:
            metric: RowMetric = METRICS.build({"use": name, "of": label})
            for model, rows in (("expert", sides.expert), ("base", sides.base), ("base_fair", sides.base_fair)):
                if rows:
                    found.append(metric.measure(rows, model=model, slice=f"label={label}", sampling=sampling))
    return found


def slice_names(rows: Sequence[Row], spec: EvaluateSpec, profile: Profile) -> tuple[list[str], list[str]]:
    """The slices to measure, and notes on attributes that are missing or have too many values.

    Attributes: the profile's protected ones, those of the section, and slices that targets name.
    """
    names: list[str] = []
    notes: list[str] = []
    for attribute in dict.fromkeys([*profile.protect, *spec.slices]):
        counts = Counter(row.example.attributes[attribute] for row in rows if attribute in row.example.attributes)
        missing = len(rows) - sum(counts.values())
        if missing:
            notes.append(f"{missing} of {len(rows)} held-out rows have no attribute '{attribute}'")
        if len(counts) > MOST_VALUES:
            notes.append(f"'{attribute}' has {len(counts)} values: only the {MOST_VALUES} most frequent are sliced")
        names += sorted(f"{attribute}={value}" for value, _ in counts.most_common(MOST_VALUES))
    over_rows = [target for target in profile.targets if target.measure not in UNSLICED]
    names += [target.slice for target in over_rows if target.slice and target.slice != "all"]
    return list(dict.fromkeys(names)), notes


def without_doubles(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """The measures with each (name, model, slice) once, the first kept."""
    found: dict[tuple[str, str, str], Measure] = {}
    for measure in measures:
        found.setdefault((measure.name, measure.model, measure.slice), measure)
    return tuple(found.values())


def find(measures: Sequence[Measure], name: str, *, model: str = "expert", slice: str | None = None) -> Measure | None:
    """The measure with that name, model and slice (None: all rows)."""
    wanted = (name, model, slice or "all")
    return next((m for m in measures if (m.name, m.model, m.slice) == wanted), None)


def better_base(labels: Mapping[str, Sequence[Row]]) -> str:
    """The way of reading the base's likelihoods that is right more often; the first one where both are alike."""
    rights = {how: sum(row.predicted == row.expected for row in rows) for how, rows in labels.items()}
    return max(rights, key=rights.__getitem__)
