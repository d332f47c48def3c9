"""What all plots share: colours that work on light and dark ground, axes, labels, reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
Texts = Mapping[str, str]

COLOURS = {"expert": "#2f7de1", "base": "#8b95a5", "base_fair": "#d29a3a"}


def reliability_figure(
    series: Sequence[tuple[str, str, Sequence[Mapping[str, float]]]], texts: Texts, *, stated: str
) -> Figure:
    """Share right against stated probability, with the diagonal of perfect ones; areas are numbers of rows.

    Args:
        series: name, colour and bins (`confidence`, `right`, `n`) of each.
        texts: of one language.
        stated: what the probability is called.
    """
    diagonal = {"color": COLOURS["base"], "width": 1, "dash": "dash"}
    data: list[Figure] = [
        {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "line": diagonal, "name": texts["perfect"]}
    ]
    for name, colour, bins in series:
        most = max((b["n"] for b in bins), default=1)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [b["confidence"] for b in bins],
                "y": [b["right"] for b in bins],
                "customdata": [b["n"] for b in bins],
                "hovertemplate": "%{x:.2f} → %{y:.2f}, n = %{customdata}<extra></extra>",
                "line": {"color": colour, "width": 1},
                "marker": {"color": colour, "size": [6 + 20 * (b["n"] / most) ** 0.5 for b in bins]},
            }
        )
    drawn = layout(380, x=stated, y=texts["right"])
    drawn["xaxis"]["range"] = drawn["yaxis"]["range"] = [-0.04, 1.04]
    return {"data": data, "layout": drawn}


def escaped(name: str) -> str:
    """Plotly reads a few HTML tags in labels: a data label must not become one."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def layout(height: int, *, x: str, y: str) -> Figure:
    """A plot of this height in pixels with these titles of its axes."""
    grid = "rgba(139,149,165,0.22)"
    axis = {"gridcolor": grid, "zerolinecolor": grid, "automargin": True}
    return {
        "height": height,
        "margin": {"l": 16, "r": 24, "t": 36, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
    }
