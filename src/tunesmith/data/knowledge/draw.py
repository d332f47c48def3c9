"""A picture of a graph as one HTML file: SVG without scripts, Chinese drawn by the reader's own fonts."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import networkx as nx

from tunesmith.core.errors import shorten
from tunesmith.core.files import write_text
from tunesmith.data.knowledge.graph import Fact, KnowledgeGraph
from tunesmith.data.knowledge.layout import Place, Size, placed

_LETTER_PIXELS, _HAN_PIXELS, _HEIGHT = 7.2, 13.5, 30.0
_LONGEST = 34
_COLOURS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#e0f2f1", "#ffedd5")
_STYLE = """
body { font: 14px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif }
body { margin: 2em; color: #1f2937 }
svg { width: 100%; height: auto; border: 1px solid #e5e7eb; border-radius: 8px }
text { font-size: 13px; fill: #111827 }
.edge text { font-size: 11px; fill: #4b5563; paint-order: stroke; stroke: #fff; stroke-width: 4px }
.edge path { fill: none; stroke: #6b7280; stroke-width: 1.3 } .denied path { stroke: #b91c1c; stroke-dasharray: 6 4 }
.hedged path { stroke-dasharray: 2 4 } rect { stroke: #9ca3af } table { border-collapse: collapse; margin-top: 1em }
td, th { border-bottom: 1px solid #e5e7eb; padding: .3em .8em; text-align: left; vertical-align: top }
.key { display: inline-block; padding: 0 .6em; margin-right: .6em; border: 1px solid #9ca3af; border-radius: 6px }
"""


def write_picture(graph: KnowledgeGraph, path: Path, *, title: str = "Knowledge", at_most: int = 60) -> int:
    """Draw the most connected part of a graph, `at_most` things, and list every drawn fact; returns things drawn.

    What is left out is counted in the heading. Denied facts are dashed red, hedged ones dotted; the sentence shows
    when the pointer rests on an edge. The same graph gives the same bytes.
    """
    facts = _chosen(graph, at_most)
    drawn = sorted({graph.key(end) for fact in facts for end in (fact.subject, fact.object)})
    counts = graph.counts()
    shown = f"{len(drawn):,} of {counts['things']:,} things, {len(facts):,} of {counts['facts']:,} facts"
    kinds = sorted({kind for kind in map(graph.kind, drawn) if kind})
    colours = {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(kinds)}
    legend = "".join(f'<span class="key" style="background:{colours[kind]}">{escape(kind)}</span>' for kind in kinds)
    body = f"<h1>{escape(title)}</h1><p>{shown}. {legend}</p>{_svg(graph, facts, colours)}{_table(facts)}"
    head = (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
    )
    write_text(path, f"{head}<body>{body}</body></html>\n")
    return len(drawn)


def _chosen(graph: KnowledgeGraph, at_most: int) -> list[Fact]:
    """Facts about the things that most facts are about, until there are `at_most` things, and all facts among them."""
    facts = graph.facts()
    weight: dict[str, float] = defaultdict(float)
    for fact in facts:
        for end in (fact.subject, fact.object):
            weight[graph.key(end)] += 1
    ends = {fact.id: {graph.key(fact.subject), graph.key(fact.object)} for fact in facts}
    kept: set[str] = set()
    for fact in sorted(facts, key=lambda fact: (-max(weight[key] for key in ends[fact.id]), fact.id)):
        if len(kept | ends[fact.id]) <= at_most:
            kept |= ends[fact.id]
    return [fact for fact in facts if ends[fact.id] <= kept]


def _svg(graph: KnowledgeGraph, facts: list[Fact], colours: dict[str, str]) -> str:
    links: Any = nx.Graph()
    between: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        start, end = graph.key(fact.subject), graph.key(fact.object)
        links.add_edge(start, end)
        between[start, end].append(fact)
    names = {key: shorten(graph.name(key), width=_LONGEST) for key in links}
    sizes = {key: (_pixels(name) + 22, _HEIGHT) for key, name in names.items()}
    places, (width, height) = placed(links, sizes)
    edges = "".join(_edge(said, places, sizes, (ends, ends[::-1] in between)) for ends, said in between.items())
    boxes = "".join(
        _box(names[key], graph.name(key), places[key], (sizes[key], colours.get(graph.kind(key), "#f9fafb")))
        for key in links
    )
    arrow = '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    arrow += '<path d="M0,0 L8,4 L0,8 z" fill="#6b7280" stroke="none"/></marker>'
    view = f"0 0 {width:.0f} {height:.0f}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}"><defs>{arrow}</defs>{edges}{boxes}</svg>'


def _box(label: str, full: str, at: Place, look: tuple[Size, str]) -> str:
    (width, height), colour = look
    x, y = at[0] - width / 2, at[1] - height / 2
    return (
        f'<g><title>{escape(full)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="8" fill="{colour}"/><text x="{at[0]:.1f}" y="{at[1] + 4.5:.1f}" text-anchor="middle">{escape(label)}'
        "</text></g>"
    )


def _edge(said: list[Fact], places: dict[str, Place], sizes: dict[str, Size], way: tuple[tuple[str, str], bool]) -> str:
    """One arrow for all facts from one thing to another; bent where another one comes back."""
    (start, end), both = way
    bend = 34.0 if both else 0.0
    (x0, y0), (x1, y1) = places[start], places[end]
    length = max(1.0, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    middle = ((x0 + x1) / 2 - (y1 - y0) / length * bend, (y0 + y1) / 2 + (x1 - x0) / length * bend)
    if start == end:
        middle = (x0 + sizes[start][0] * 0.7, y0 - 60)
    a, b = _border((x0, y0), sizes[start], middle), _border((x1, y1), sizes[end], middle)
    label = shorten("; ".join(_told(fact) for fact in said), width=40)
    titles = "\n".join(fact.triples[0].evidence.sentence for fact in said)
    look = "denied" if all(f.negated for f in said) else "hedged" if all(f.hedged for f in said) else ""
    at = tuple(0.25 * a[k] + 0.5 * middle[k] + 0.25 * b[k] for k in (0, 1))
    path = f"M{a[0]:.1f},{a[1]:.1f} Q{middle[0]:.1f},{middle[1]:.1f} {b[0]:.1f},{b[1]:.1f}"
    return (
        f'<g class="edge {look}"><title>{escape(titles)}</title><path d="{path}" marker-end="url(#a)"/>'
        f'<text x="{at[0]:.1f}" y="{at[1] - 3:.1f}" text-anchor="middle">{escape(label)}</text></g>'
    )


def _border(centre: Place, size: Size, towards: Place) -> Place:
    """Where the line from a box's centre to `towards` leaves the box."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    share = max(abs(dx) / (size[0] / 2), abs(dy) / (size[1] / 2), 1.0)
    return centre[0] + dx / share, centre[1] + dy / share


def _pixels(text: str) -> float:
    return sum(_HAN_PIXELS if unicodedata.east_asian_width(c) in "WF" else _LETTER_PIXELS for c in text)


def _told(fact: Fact) -> str:
    return f"not: {fact.relation}" if fact.negated else fact.relation


def _table(facts: list[Fact]) -> str:
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (f.subject, _told(f), f.object, f"{f.confidence:.2f}"))
        + f"<td>{escape(f.triples[0].evidence.sentence)}</td></tr>"
        for f in facts
    )
    head = "<tr><th>subject</th><th>relation</th><th>object</th><th>confidence</th><th>sentence</th></tr>"
    return f"<details open><summary>Facts with their sentences</summary><table>{head}{rows}</table></details>"
