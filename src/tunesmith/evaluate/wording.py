"""Figures as people read them, the same in reasons and report."""

from __future__ import annotations

from tunesmith.core.figures import figure
from tunesmith.core.types import Measure, Target


def percent(share: float) -> str:
    """`71 %`."""
    return f"{100 * share:.0f} %"


def points(change: float) -> str:
    """A change of a share in percentage points: `-30 points`."""
    return f"{100 * change:+.0f} points"


def with_interval(measure: Measure, *, sign: bool = False) -> str:
    """`0.410 (95 % 0.350 to 0.470, 200 rows)`; without an interval only the number of rows stands in brackets."""
    if measure.value is None:
        return f"unscored ({measure.unscored} rows)"
    rows = f"{measure.n} rows"
    if measure.low is not None and measure.high is not None:
        low, high = (figure(end, measure.unit, sign=sign) for end in (measure.low, measure.high))
        rows = f"{100 * measure.level:g} % {low} to {high}, {rows}"
    return f"{figure(measure.value, measure.unit, sign=sign)} ({rows})"


def limit_words(target: Target) -> str:
    """`at least 0.95 was asked`."""
    side = "at least" if target.at_least is not None else "at most"
    return f"{side} {target.threshold:g} was asked"


def bare_name(name: str) -> str:
    """A model's name; of a folder's path the last part, because a report travels and paths of a machine say nothing.

    `organisation/name` is a hub id and stays.
    """
    parts = name.replace("\\", "/").rstrip("/").split("/")
    is_path = len(parts) > 2 or "\\" in name or name.startswith((".", "~", "/"))
    return parts[-1] if is_path else name
