"""Where boxes of different width stand, so that linked ones are near and none covers another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx

Place = tuple[float, float]
Size = tuple[float, float]

_STEP = (210.0, 105.0)
"""Pixels that a link is long, along and across: boxes are wide and low."""
_MARGIN = 26.0
_ROUNDS = 400


def placed(graph: Any, sizes: Mapping[str, Size]) -> tuple[dict[str, Place], Size]:
    """The centre of every node's box in pixels, and width and height of the whole picture.

    Each connected part is laid out by Kamada and Kawai 1989 (distances in the picture follow distances in the graph),
    then boxes that overlap are pushed apart, then the parts are set side by side in rows. The same graph gives the
    same picture.

    Args:
        graph: an undirected networkx graph.
        sizes: node -> width and height of its box in pixels.
    """
    parts = sorted((list(part) for part in nx.connected_components(graph)), key=lambda part: (-len(part), min(part)))
    blocks = [_block(graph.subgraph(sorted(part)), sizes) for part in parts]
    wide = max([1000.0, *(size[0] for _, size in blocks)])
    places: dict[str, Place] = {}
    x = y = row = 0.0
    for block, (width, height) in blocks:
        if x and x + width > wide:
            x, y, row = 0.0, y + row, 0.0
        places |= {node: (x + at[0], y + at[1]) for node, at in block.items()}
        x, row = x + width, max(row, height)
    return places, (wide, y + row)


def _block(part: Any, sizes: Mapping[str, Size]) -> tuple[dict[str, Place], Size]:
    """One connected part with its upper left corner at (0, 0), and its size."""
    places = _spread(_scaled(part), sizes)
    left = min(places[n][0] - sizes[n][0] / 2 for n in places) - _MARGIN
    top = min(places[n][1] - sizes[n][1] / 2 for n in places) - _MARGIN
    right = max(places[n][0] + sizes[n][0] / 2 for n in places) + _MARGIN
    bottom = max(places[n][1] + sizes[n][1] / 2 for n in places) + _MARGIN
    return {n: (x - left, y - top) for n, (x, y) in places.items()}, (right - left, bottom - top)


def _scaled(part: Any) -> dict[str, Place]:
    """Kamada and Kawai's places, stretched until the links are about as long as `_STEP`."""
    nodes = list(part)
    if len(nodes) == 1:
        return {nodes[0]: (0.0, 0.0)}
    if len(nodes) == 2:
        return {nodes[0]: (0.0, 0.0), nodes[1]: (_STEP[0] * 1.6, 0.0)}
    simple = nx.Graph()  # nodes in a fixed order, so that the optimiser starts from the same circle
    simple.add_nodes_from(nodes)
    simple.add_edges_from(sorted(tuple(sorted(edge[:2])) for edge in part.edges()))
    found = nx.kamada_kawai_layout(simple, pos=nx.circular_layout(simple))
    lengths = [float(((found[a] - found[b]) ** 2).sum() ** 0.5) for a, b in simple.edges() if a != b]
    unit = sum(lengths) / len(lengths) or 1.0
    return {n: (float(x) / unit * _STEP[0], float(y) / unit * _STEP[1]) for n, (x, y) in found.items()}


def _spread(places: dict[str, Place], sizes: Mapping[str, Size]) -> dict[str, Place]:
    """Boxes pushed apart, each time along the axis on which less is missing."""
    at = {node: list(place) for node, place in places.items()}
    nodes = list(at)
    for _ in range(_ROUNDS):
        moved = False
        for i, a in enumerate(nodes):
            for b in nodes[i + 1 :]:
                moved |= _push(at[a], at[b], [(sizes[a][k] + sizes[b][k]) / 2 + _MARGIN for k in (0, 1)])
        if not moved:
            break
    return {node: (x, y) for node, (x, y) in at.items()}


def _push(a: list[float], b: list[float], apart: list[float]) -> bool:
    missing = [apart[k] - abs(a[k] - b[k]) for k in (0, 1)]
    if min(missing) <= 0.01:
        return False
    axis = 0 if missing[0] < missing[1] else 1
    sign = 1.0 if b[axis] >= a[axis] else -1.0
    a[axis] -= sign * missing[axis] / 2
    b[axis] += sign * missing[axis] / 2
    return True
