"""Plots of the expert's reasoning: accuracy against tokens, and how honest its probability is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.report.drawing import COLOURS, Figure, Texts, layout, reliability_figure

_BAND = "rgba(47,125,225,0.13)"
_HOVER = "n = %{customdata[0]}: %{y:.1%} (%{customdata[1]:.1%} … %{customdata[2]:.1%}), %{x:.0f}<extra></extra>"
Points = Sequence[Mapping[str, Any]]


def effort_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Share right against tokens a question: votes on held-out rows with their band, and what validation rows say."""
    told = found["thinking"]
    if not told:
        return None
    ways = told["replayed"].get("ways", {})
    data = [
        *_band(told["vote"]),
        _line(told["vote"], texts["vote_held_out"], COLOURS["expert"]),
        _line(ways.get("vote", ()), texts["vote_valid"], COLOURS["base"], dash="dash"),
        _line(ways.get("line", ()), texts["line_valid"], COLOURS["base_fair"], dash="dash"),
        _marker(ways.get("settled", ())[:1], texts["settled_valid"], COLOURS["base_fair"], "diamond"),
        _marker([told["expert"]], texts["expert_point"], COLOURS["expert"], "star"),
    ]
    drawn = layout(420, x=texts["tokens_axis"], y=texts["right"])
    drawn["xaxis"] |= {"type": "log", "dtick": "D2", "tickformat": ",.0f"}
    drawn["yaxis"] |= {"tickformat": ".0%"}
    drawn["legend"]["traceorder"] = "normal"  # plotly turns it round where there is a band
    return {"data": [series for series in data if series["x"]], "layout": drawn}


def honesty_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Reliability diagram of the fused probability."""
    if not found["thinking"]:
        return None
    series = (texts["expert"], COLOURS["expert"], found["thinking"]["reliability"])
    return reliability_figure([series], texts, stated=texts["fused_probability"])


def _line(points: Points, name: str, colour: str, *, dash: str = "solid") -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [point["tokens"] for point in points],
        "y": [point["right"] for point in points],
        "customdata": [[point["chains"], point["low"], point["high"]] for point in points],
        "hovertemplate": _HOVER,
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 6},
    }


def _marker(points: Points, name: str, colour: str, symbol: str) -> Figure:
    """One point with whiskers."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point["tokens"] for point in points],
        "y": [point["right"] for point in points],
        "hovertemplate": "%{y:.1%}, %{x:.0f}<extra></extra>",
        "marker": {"color": colour, "size": 13, "symbol": symbol},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [point["high"] - point["right"] for point in points],
            "arrayminus": [point["right"] - point["low"] for point in points],
            "color": colour,
            "thickness": 1.5,
            "width": 4,
        },
    }


def _band(points: Points) -> list[Figure]:
    """The intervals of a curve as a band behind it."""
    shared = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": {"width": 0}}
    xs = [point["tokens"] for point in points]
    upper = {**shared, "x": xs, "y": [point["high"] for point in points]}
    lower = {**shared, "x": xs, "y": [point["low"] for point in points], "fill": "tonexty", "fillcolor": _BAND}
    return [upper, lower]
