"""The report's plots as plotly figures in plain JSON.

Each function takes the report's content and the texts of one language, and gives None where there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.report.drawing import COLOURS, Figure, Texts, escaped, layout, reliability_figure
from tunesmith.evaluate.report.thinking_plots import effort_plot, honesty_plot
from tunesmith.evaluate.spec import MEASURES

_ROW_PIXELS = 26
_LONGEST_LABEL = 44


def figures(found: Mapping[str, Any], texts: Texts) -> dict[str, Figure]:
    """Every plot that has data: name -> figure."""
    drawn = {
        "measures": measures_plot(found, texts),
        "classes": classes_plot(found, texts),
        "skills": skills_plot(found, texts),
        "curves": curves_plot(found, texts),
        "calibration": calibration_plot(found, texts),
        "risk_coverage": risk_plot(found, texts),
        "fairness": fairness_plot(found, texts),
        "latency": latency_plot(found, texts),
        "effort": effort_plot(found, texts),
        "honesty": honesty_plot(found, texts),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def measures_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Shares over all rows, one line a measure, whiskers for the intervals."""
    chosen = [m for m in found["measures"] if m["slice"] == "all" and m["unit"] == "share" and m["value"] is not None]
    higher = [m for m in chosen if m["name"] not in MEASURES or MEASURES[m["name"]].higher_is_better]
    names = list(dict.fromkeys(m["name"] for m in higher if m["model"] == "expert"))
    return _dots(chosen, names, texts, key="name", whiskers=True)


def classes_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """F1 of each class, the expert's weakest class at the bottom."""
    chosen = [
        {**m, "name": m["slice"].removeprefix("label=")}
        for m in found["measures"]
        if m["name"] == "f1" and m["slice"].startswith("label=") and m["value"] is not None
    ]
    ours = sorted((m for m in chosen if m["model"] == "expert"), key=lambda m: -m["value"])
    return _dots(chosen, [m["name"] for m in ours], texts, key="name", whiskers=True)


def skills_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """General accuracy of each skill, base and expert."""
    chosen = [
        {**m, "name": texts.get(f"skill.{_skill(m)}", _skill(m))}
        for m in found["measures"]
        if m["name"] == "general_accuracy" and m["slice"].startswith("skill=") and m["value"] is not None
    ]
    names = sorted({m["name"] for m in chosen})
    return _dots(chosen, names, texts, key="name", whiskers=True)


def _skill(measure: Mapping[str, Any]) -> str:
    return str(measure["slice"]).removeprefix("skill=")


_NO_TERM = {"step", "epoch", "loss", "learning_rate", "gradient_norm", "trained_tokens", "tokens", "tokens_per_second"}


def curves_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Training loss by step over all phases, its terms where there are several, validation loss, learning rate.

    Steps that were set aside have no loss: the line goes on without them.
    """
    points = found["curves"]
    if not points:
        return None
    names = {name for point in points for name, value in point.items() if isinstance(value, int | float)}
    terms = sorted(name for name in names - _NO_TERM - {"valid_loss"} if "." not in name)
    lines = [
        ("loss", texts["train_loss"], "y", {"color": COLOURS["expert"], "width": 2}),
        *((name, name, "y", {"width": 1}) for name in terms if len(terms) > 1),
        ("valid_loss", texts["valid_loss"], "y", {"color": COLOURS["base_fair"], "width": 2}),
        ("learning_rate", texts["lr"], "y2", {"color": COLOURS["base"], "width": 1.5, "dash": "dot"}),
    ]
    data = []
    for field, name, axis, line in lines:
        known = [(n, p[field]) for n, p in enumerate(points, start=1) if isinstance(p.get(field), int | float)]
        if known:
            xs, ys = zip(*known, strict=True)
            mode = "lines+markers" if field == "valid_loss" else "lines"  # one point alone is no line
            data.append({"type": "scatter", "mode": mode, "name": name, "x": xs, "y": ys, "line": line, "yaxis": axis})
    right = {"overlaying": "y", "side": "right", "showgrid": False, "title": {"text": texts["lr"]}, "tickformat": ".1e"}
    right |= {"automargin": True, "rangemode": "tozero"}
    starts = [n for n in range(1, len(points)) if points[n].get("phase") != points[n - 1].get("phase")]
    drawn = layout(340, x=texts["step"], y=texts["loss"]) | {"yaxis2": right}
    drawn["shapes"] = [
        {
            "type": "line",
            "x0": n + 0.5,
            "x1": n + 0.5,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"dash": "dash", "width": 1},
        }
        for n in starts
    ]
    drawn["yaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": drawn}


def calibration_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Reliability diagram: share right against stated confidence."""
    if not found["calibration"]["expert"]:
        return None
    series = [(texts[model], COLOURS[model], found["calibration"][model]) for model in ("base_fair", "expert")]
    return reliability_figure(series, texts, stated=texts["confidence"])


def risk_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Share of wrong answers among the surest against the share that is answered."""
    curves = found["risk_coverage"]
    if not curves["expert"]:
        return None
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{texts[model]} ({curves[model]['area']:.3f})",
            "x": curves[model]["coverage"],
            "y": curves[model]["risk"],
            "line": {"color": COLOURS[model], "width": 2},
        }
        for model in ("base_fair", "expert")
        if curves[model]
    ]
    drawn = layout(380, x=texts["coverage"], y=texts["risk"])
    drawn["xaxis"] |= {"range": [0, 1.02], "tickformat": ".0%"}
    drawn["yaxis"] |= {"rangemode": "tozero", "tickformat": ".0%"}
    return {"data": data, "layout": drawn}


_MOST_GROUPS = 40


def fairness_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Accuracy of each protected group with its interval; groups that are too small are hollow."""
    groups = [g for g in found["fairness"].get("groups", ()) if g["rate"] == "accuracy" and g["n"]][:_MOST_GROUPS]
    if not groups:
        return None
    places = [len(groups) - 1 - place for place in range(len(groups))]
    names = [_label(f"{g['attribute']}: {g['group']}") for g in groups]
    symbols = ["circle" if g["compared"] else "circle-open" for g in groups]
    series: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": [g["value"] for g in groups],
        "y": places,
        "text": names,
        "customdata": [g["n"] for g in groups],
        "hovertemplate": "%{text}: %{x:.1%}, n = %{customdata}<extra></extra>",
        "marker": {"color": COLOURS["expert"], "size": 10, "symbol": symbols},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [g["high"] - g["value"] for g in groups],
            "arrayminus": [g["value"] - g["low"] for g in groups],
            "color": COLOURS["expert"],
            "thickness": 1.5,
            "width": 3,
        },
    }
    drawn = layout(_ROW_PIXELS * len(groups) + 90, x=texts["accuracy_of_group"], y="")
    drawn["xaxis"] |= {"range": [-0.02, 1.02], "tickformat": ".0%"}
    drawn["yaxis"] |= {"tickmode": "array", "tickvals": places, "ticktext": names, "showgrid": False}
    drawn["yaxis"]["range"] = [-0.7, len(groups) - 0.3]
    return {"data": [series], "layout": drawn}


def latency_plot(found: Mapping[str, Any], texts: Texts) -> Figure | None:
    """Share of single requests answered within a time."""
    data = []
    for model in ("base", "expert"):
        times = found["latency_ms"][model]
        if times:
            shares = [(place + 1) / len(times) for place in range(len(times))]
            line = {"color": COLOURS[model], "width": 2, "shape": "hv"}
            data.append(
                {"type": "scatter", "mode": "lines", "name": texts[model], "x": times, "y": shares, "line": line}
            )
    if not data:
        return None
    drawn = layout(380, x=texts["latency_axis"], y=texts["share_of_requests"])
    drawn["xaxis"]["rangemode"] = "tozero"
    drawn["yaxis"] |= {"range": [0, 1.04], "tickformat": ".0%"}
    return {"data": data, "layout": drawn}


def _dots(
    measures: Sequence[Mapping[str, Any]], names: Sequence[str], texts: Texts, *, key: str, whiskers: bool
) -> Figure | None:
    """One row a name, one dot a model, joined by a line from the base to the expert; values in percent."""
    if not names:
        return None
    value = {(m[key], m["model"]): m for m in measures}
    places = {name: len(names) - 1 - row for row, name in enumerate(names)}
    data = [_joints(value, places)]
    for model in ("base", "base_fair", "expert"):
        rows = [(name, value[name, model]) for name in names if (name, model) in value]
        if rows:
            data.append(_series(model, rows, places, texts, whiskers=whiskers))
    drawn = layout(_ROW_PIXELS * len(names) + 110, x="", y="")
    drawn["xaxis"] |= {"range": [-0.02, 1.02], "tickformat": ".0%"}
    drawn["yaxis"] |= {
        "tickmode": "array",
        "tickvals": [places[name] for name in names],
        "ticktext": [_label(name) for name in names],
        "range": [-0.7, len(names) - 0.3],
        "showgrid": False,
    }
    return {"data": data, "layout": drawn}


def _joints(value: Mapping[tuple[str, str], Mapping[str, Any]], places: Mapping[str, int]) -> Figure:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for name, place in places.items():
        if (name, "base") in value and (name, "expert") in value:
            xs += [value[name, "base"]["value"], value[name, "expert"]["value"], None]
            ys += [place, place, None]
    line = {"color": "rgba(139,149,165,0.45)", "width": 3}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": ys,
        "line": line,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _series(
    model: str,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    places: Mapping[str, int],
    texts: Texts,
    *,
    whiskers: bool,
) -> Figure:
    symbols = {"expert": "circle", "base": "circle-open", "base_fair": "diamond-open"}
    lift = (
        {"expert": 0.0, "base": 0.0, "base_fair": 0.0}
        if not whiskers
        else {"expert": 0.16, "base": 0.0, "base_fair": -0.16}
    )
    series: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": texts[model],
        "x": [m["value"] for _, m in rows],
        "y": [places[name] + lift.get(model, 0.0) for name, _ in rows],
        "text": [escaped(name) for name, _ in rows],
        "customdata": [m["n"] for _, m in rows],
        "hovertemplate": "%{text}: %{x:.1%}, n = %{customdata}<extra>" + texts[model] + "</extra>",
        "marker": {
            "color": COLOURS[model],
            "size": 10,
            "symbol": symbols[model],
            "line": {"width": 2, "color": COLOURS[model]},
        },
    }
    if whiskers:
        ends = [(m["high"], m["low"]) if m["low"] is not None else (m["value"],) * 2 for _, m in rows]
        series["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [max(high - m["value"], 0) for (high, _), (_, m) in zip(ends, rows, strict=True)],
            "arrayminus": [max(m["value"] - low, 0) for (_, low), (_, m) in zip(ends, rows, strict=True)],
            "color": COLOURS[model],
            "thickness": 1.5,
            "width": 3,
        }
    return series


def _label(name: str) -> str:
    return escaped(name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…")
