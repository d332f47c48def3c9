"""Coverage as a picture: one HTML file that opens without a network, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from tunesmith.core.files import write_text
from tunesmith.data.tasks.catalogue import Language, TaskType, families, task_types
from tunesmith.data.tasks.coverage import Coverage

Figure = dict[str, Any]

_COLOURS = (
    "#2f7de1", "#d29a3a", "#3fa66b", "#b5598f", "#7a6fd0", "#cc6a4b", "#4aa3b5", "#8b9a3b", "#a0763f", "#5f7fae",
    "#c2507a", "#6b9e8a", "#8b95a5",
)  # fmt: skip
_POLICY = (
    "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:\">"
)
"""Nothing may be asked for over a network, whatever the page holds."""
_ROW_PIXELS = 20
_GREY, _RED = "#8b95a5", "#c0392b"
_TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Tasks of the training rows", "rows": "rows",
        "of": "of {all:,} types have rows; {n:,} rows are a task",
        "unknown": "unknown", "asked": "asked for", "none": "no rows of these families", "texts": "plain texts",
    },
    "zh": {
        "title": "训练数据的任务类型", "rows": "行数", "of": "/ {all:,} 种类型有数据；{n:,} 行属于任务",
        "unknown": "未知", "asked": "要求", "none": "没有数据的类别", "texts": "纯文本",
    },
}  # fmt: skip


def write_coverage(found: Coverage, path: Path, *, must: Mapping[str, int], language: Language = "en") -> None:
    """Draw every type that has rows or is asked for, by family; what is asked for is marked. Same input, same bytes."""
    from plotly.offline import get_plotlyjs

    texts = _TEXTS[language]
    share = f"{found.unknown:,} ({found.unknown_share:.1%})"
    heading = f"{len(found.tasks)} {texts['of'].format(all=len(task_types()), n=found.tagged)}"
    heading += f"; {texts['unknown']}: {share}" + (f"; {texts['texts']}: {found.texts:,}" if found.texts else "")
    absent = [getattr(family, language) for family in families() if family.id not in found.families]
    rest = f"<p>{escape(texts['none'])}: {escape(', '.join(absent))}</p>" if absent else ""
    figure = json.dumps(coverage_figure(found, must=must, language=language), ensure_ascii=False).replace(
        "<", "\\u003c"
    )
    body = f"<h1>{escape(texts['title'])}</h1><p>{escape(heading)}</p><div id='plot'></div>{rest}"
    script = f"<script>{get_plotlyjs()}</script><script>const f={figure};Plotly.newPlot('plot',f.data,f.layout,"
    script += "{displayModeBar:false,responsive:true})</script>"
    style = "body{font:14px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;margin:2em;color:#1f2937}"
    head = f"<meta charset='utf-8'>{_POLICY}<title>{escape(texts['title'])}</title><style>{style}</style>"
    write_text(path, f"<!doctype html><html lang='{language}'><head>{head}</head><body>{body}{script}</body></html>\n")


def coverage_figure(found: Coverage, *, must: Mapping[str, int], language: Language) -> Figure:
    """A plotly figure: one bar a type, families together in one colour, a red mark at what is asked for.

    Rows of `must` that name a family stand as a bar of their own above the types of that family.
    """
    texts, bars = _TEXTS[language], _bars(found, must, language)
    places = {label: len(bars) - 1 - at for at, (label, _, _, _) in enumerate(bars)}
    series = [
        {
            "type": "bar", "orientation": "h", "name": family, "marker": {"color": colour},
            "y": [places[label] for label, _, of, _ in bars if of == family],
            "x": [rows for _, rows, of, _ in bars if of == family],
            "text": [f"{rows:,}" for _, rows, of, _ in bars if of == family],
            "textposition": "outside", "cliponaxis": False, "hoverinfo": "skip",
        }
        for family, colour in _coloured(bars, texts)
    ]  # fmt: skip
    marked = [(wanted, places[label]) for label, _, _, wanted in bars if wanted]
    if marked:
        look = {"symbol": "line-ns", "size": 14, "line": {"width": 3, "color": _RED}, "color": _RED}
        mark = {"type": "scatter", "mode": "markers", "name": texts["asked"], "marker": look}
        series.append({**mark, "x": [wanted for wanted, _ in marked], "y": [place for _, place in marked]})
    return {"data": series, "layout": _layout(places, texts)}


def _bars(found: Coverage, must: Mapping[str, int], language: Language) -> list[tuple[str, int, str, int]]:
    """(label, rows, family, rows asked for) of each bar, top first: families with most rows first, unknown last."""
    bars: list[tuple[str, int, str, int]] = []
    by_rows = sorted(families(), key=lambda family: (-found.rows_of(family.id), family.id))
    for family in by_rows:
        shown = [t for t in task_types() if t.family == family.id and (t.id in found.tasks or t.id in must)]
        shown.sort(key=lambda task: (-found.rows_of(task.id), task.id))
        title = getattr(family, language)
        if family.id in must:
            bars.append((f"{title} (Σ)", found.rows_of(family.id), title, must[family.id]))
        bars += [(_label(task, language), found.rows_of(task.id), title, must.get(task.id, 0)) for task in shown]
    if found.unknown:
        rows = round(found.unknown * found.of / found.rows)
        bars.append((_TEXTS[language]["unknown"], rows, _TEXTS[language]["unknown"], 0))
    return bars


def _coloured(bars: list[tuple[str, int, str, int]], texts: Mapping[str, str]) -> list[tuple[str, str]]:
    names = list(dict.fromkeys(family for _, _, family, _ in bars))
    return [(n, _GREY if n == texts["unknown"] else _COLOURS[at % len(_COLOURS)]) for at, n in enumerate(names)]


def _label(task: TaskType, language: Language) -> str:
    return task.name[language].replace("&", "&amp;").replace("<", "&lt;")


def _layout(places: Mapping[str, int], texts: Mapping[str, str]) -> Figure:
    grid = "rgba(139,149,165,0.22)"
    return {
        "height": _ROW_PIXELS * len(places) + 120,
        "margin": {"l": 16, "r": 48, "t": 60, "b": 40},
        "barmode": "overlay",
        "bargap": 0.25,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, 'Noto Sans CJK SC', sans-serif", "size": 12},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "xaxis": {"title": {"text": texts["rows"]}, "gridcolor": grid, "rangemode": "tozero"},
        "yaxis": {
            "tickmode": "array", "tickvals": list(places.values()), "ticktext": list(places), "automargin": True,
            "range": [-0.7, len(places) - 0.3], "showgrid": False,
        },
    }  # fmt: skip
