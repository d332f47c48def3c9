"""Fairness of the answers to the held-out rows: from scored rows to measures, and the table of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.types import Measure, Profile
from tunesmith.evaluate.fairness.gaps import (
    Cell,
    Gap,
    largest_gap,
    largest_mean_gap,
    smallest_ratio,
    smallest_share,
)
from tunesmith.evaluate.fairness.rates import GAPS, cell_of
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.spec import MEASURES, FairnessSpec
from tunesmith.evaluate.statistics import Interval

_JOINT = " × "
_RATES = ("selection_rate", "true_positive_rate", "precision", "false_positive_rate")


@dataclass(frozen=True)
class Fairness:
    """What was found.

    Args:
        measures: over all protected attributes together (slice `all`) and each alone (`protect=sex`).
        table: one record per attribute, group and rate: value, interval, rows.
        notes: who could not be compared, and why.
    """

    measures: tuple[Measure, ...] = ()
    table: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Attribute:
    """The judged rows of one attribute, or of a combination; `names` is their group."""

    name: str
    rows: tuple[Row, ...]
    names: tuple[str, ...]


def fairness_measures(
    rows: Sequence[Row], profile: Profile, spec: FairnessSpec, *, level: float, confident: Sequence[Row] | None = None
) -> Fairness:
    """Gaps between the groups of the profile's protected attributes; nothing without them or without labels.

    A right answer that is outside the labels, and an answer that failed, leave their row out (`unscored`); an answer
    outside the labels counts as not favourable. Groups with fewer than `spec.fewest` rows to take a rate over are named
    in the notes and not compared by it.

    Args:
        rows: what one model said to the held-out rows.
        profile: its labels and protected attributes.
        spec: the section.
        level: coverage of the intervals.
        confident: rows whose answers carry a confidence, for calibration; None: `rows`.
    """
    if not profile.protect or not profile.labels:
        return Fairness()
    judged = _judged(rows)
    attributes = _attributes(judged, profile.protect, spec)
    sure = _attributes(_judged(rows if confident is None else confident), profile.protect, spec)
    favourable = [tuple(spec.favourable)] if spec.favourable else [(label,) for label in profile.labels]
    # of two labels that are the only answers, one is told wrongly as often as the other is missed: the same gap once
    mirrored = len(favourable) == 2 and all(row.predicted is not None for row in judged)
    cells: dict[str, list[Cell]] = {"false_positive_rate": []}
    for attribute in attributes:
        for rate in _RATES[:3] if mirrored else _RATES:
            found = [cell for labels in favourable for cell in _cells(attribute, rate, labels)]
            cells.setdefault(rate, []).extend(found)
        right = [Cell(c.attribute, c.group, "accuracy", c.values_M, c.clusters) for c in _right(attribute)]
        cells.setdefault("accuracy", []).extend(right)
    cells["calibration"] = [cell for attribute in sure for cell in _confidence(attribute)]
    kept = {rate: [c for c in some if len(c.values_M) >= spec.fewest] for rate, some in cells.items()}
    measures = [
        m.model_copy(update={"unscored": len(rows) - len(judged)})
        for name in ("all", *(a.name for a in attributes))
        for m in _measures(kept, name, level)
    ]
    return Fairness(tuple(measures), tuple(_table(cells, kept, level)), tuple(_notes(cells, judged, profile, spec)))


def _judged(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.expected is not None and row.answer.stop != "error"]


def _attributes(rows: Sequence[Row], protect: Sequence[str], spec: FairnessSpec) -> list[_Attribute]:
    wanted: list[tuple[str, ...]] = [(name,) for name in protect]
    if spec.intersections and len(protect) > 1:
        wanted.append(tuple(protect))
    found = []
    for names in wanted:
        own = [row for row in rows if all(name in row.example.attributes for name in names)]
        groups = [_JOINT.join(row.example.attributes[name] for name in names) for row in own]
        found.append(_Attribute(_JOINT.join(names), tuple(own), tuple(groups)))
    return found


def _cells(attribute: _Attribute, rate: str, favourable: tuple[str, ...]) -> list[Cell]:
    truth = np.array([row.expected in favourable for row in attribute.rows], dtype=np.bool_)
    said = np.array([row.predicted in favourable for row in attribute.rows], dtype=np.bool_)
    counted, success = cell_of(rate, truth, said)
    return _split(attribute, counted, success, f"{rate} of {' or '.join(favourable)}")


def _right(attribute: _Attribute) -> list[Cell]:
    right = np.array([float(row.expected == row.predicted) for row in attribute.rows])
    return _split(attribute, np.ones(len(right), dtype=np.bool_), right, "accuracy")


def _confidence(attribute: _Attribute) -> list[Cell]:
    """Being right minus stated confidence: above 0 the model is too modest, below 0 too sure of itself."""
    known = np.array([row.answer.confidence is not None for row in attribute.rows], dtype=np.bool_)
    apart = np.array([float(row.expected == row.predicted) - (row.answer.confidence or 0.0) for row in attribute.rows])
    return _split(attribute, known, apart, "right minus confidence")


def _split(attribute: _Attribute, counted: Any, success: Any, rate: str) -> list[Cell]:
    names = np.array(attribute.names, dtype=str)
    found = []
    for group in dict.fromkeys(sorted(attribute.names)):
        own = np.flatnonzero(counted & (names == group))
        clusters = [attribute.rows[place].cluster for place in own]
        found.append(Cell(attribute.name, group, rate, success[own], clusters))
    return found


# -- measures and table ---------------------------------------------------------------------------------


def _measures(kept: dict[str, list[Cell]], attribute: str, level: float) -> list[Measure]:
    """Every measure over one attribute, or over `all` of them together."""
    own = {r: [c for c in cells if attribute in ("all", c.attribute)] for r, cells in kept.items()}
    name = "all" if attribute == "all" else f"protect={attribute}"
    made = []
    for measure, rates in GAPS.items():
        compared = [cell for rate in rates for cell in own[rate]]
        made.append(_of_gap(measure, largest_gap(compared, level=level), compared, name))
    gap = largest_mean_gap(own["calibration"], level=level)
    made.append(_of_gap("calibration_difference", gap, own["calibration"], name))
    ratio, interval = smallest_ratio(own["selection_rate"], level=level)
    made.append(_measure("demographic_parity_ratio", ratio, interval, own["selection_rate"], name))
    worst, interval = smallest_share(own["accuracy"], level=level)
    made.append(_measure("worst_group_accuracy", worst, interval, own["accuracy"], name))
    return [measure.model_copy(update={"level": level}) for measure in made]


def _of_gap(measure: str, gap: Gap, cells: Sequence[Cell], slice: str) -> Measure:
    found = gap.interval
    if gap.between is not None:
        high, low = gap.between
        told = f"{found.method}; {high.attribute}: {high.group} {high.value:.3f}, {low.group} {low.value:.3f}"
        found = Interval(found.low, found.high, f"{told} ({high.rate})")
    return _measure(measure, gap.value, found, cells, slice)


def _measure(name: str, value: float | None, interval: Interval, cells: Sequence[Cell], slice: str) -> Measure:
    rates: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        rates[cell.attribute, cell.rate] += len(cell.values_M)
    return Measure(
        name=name,
        model="expert",
        value=value,
        low=interval.low,
        high=interval.high,
        n=max(rates.values(), default=0),
        slice=slice,
        method=interval.method,
        unit=MEASURES[name].unit,
    )


def _table(cells: dict[str, list[Cell]], kept: dict[str, list[Cell]], level: float) -> list[dict[str, Any]]:
    compared = {id(cell) for some in kept.values() for cell in some}
    found = []
    for rate, some in cells.items():
        for cell in some:
            n = len(cell.values_M)
            ends = cell.ends(level) if n and rate != "calibration" else (None, None)
            found.append(
                {
                    "attribute": cell.attribute,
                    "group": cell.group,
                    "rate": cell.rate,
                    "value": cell.value if n else None,
                    "low": ends[0],
                    "high": ends[1],
                    "n": n,
                    "compared": id(cell) in compared,
                }
            )
    return found


def _notes(cells: dict[str, list[Cell]], rows: Sequence[Row], profile: Profile, spec: FairnessSpec) -> list[str]:
    notes = []
    for name in profile.protect:
        missing = sum(name not in row.example.attributes for row in rows)
        if missing:
            notes.append(
                f"fairness: {missing} of {len(rows)} rows have no attribute '{name}' and are in no group of it"
            )
    small = Counter(
        (c.attribute, c.group) for some in cells.values() for c in some if 0 < len(c.values_M) < spec.fewest
    )
    if small:
        told = ", ".join(f"{attribute} {group}" for attribute, group in sorted(small))
        notes.append(f"fairness: too few rows (under {spec.fewest}) to compare every rate of: {told}")
    return notes
