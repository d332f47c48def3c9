"""Figures over things that have nothing to do with each other: the mean of several tasks, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tunesmith.core.types import Measure
from tunesmith.evaluate.power import standard_error


def mean_of_independent(parts: Sequence[Measure], *, name: str, model: str, level: float) -> Measure:
    """The mean of measures over rows of their own; error: root of the summed squares over their number.

    Args:
        parts: at least one, each with a value; without an interval of each there is none of the mean.
        name: of the new measure.
        model: whose it is.
        level: coverage of the new interval.
    """
    from scipy.special import ndtri

    errors = [standard_error(part) for part in parts]
    known = [error for error in errors if error is not None]
    value = sum(part.value or 0.0 for part in parts) / len(parts)
    half = None
    if len(known) == len(parts):
        half = float(ndtri((1 + level) / 2)) * math.sqrt(sum(e * e for e in known)) / len(parts)
    return Measure(
        name=name,
        model=model,
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        level=level,
        n=sum(part.n for part in parts),
        unscored=sum(part.unscored for part in parts),
        method="none: a task has no interval" if half is None else "normal, tasks independent",
    )
