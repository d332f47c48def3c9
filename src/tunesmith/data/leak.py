"""Rows on which the verdict rests must not stand in training: the check across splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.types import Split
from tunesmith.data.index import CODES, Index
from tunesmith.data.near import Mask, Pairs
from tunesmith.data.texts import GENERAL

_SHOWN_PAIRS = 10
_Match = tuple[int, float]
HELD_OUT: tuple[Split, ...] = ("valid", "test")
_TRAINED: tuple[Split, ...] = ("train", GENERAL)


def leakage(index: Index, near: Pairs | None, threshold: float | None) -> dict[str, Any]:
    """How many held-out questions also stand in training.

    A row leaks when its question (the user's turns; not the answer, not a shared system prompt) equals one in training
    after `normalised`, or else is near one. A row counts once, as exact if it is both. General rows are trained on, so
    they are training rows here.

    Args:
        index: rows with their split.
        near: near questions, see `Index.near`; None: only exact copies are looked for.
        threshold: Jaccard share from which on two questions are near.

    Returns:
        `{"threshold", "valid": {...}, "test": {...}}`; each split holds `rows`, `exact`, `near` (None: not looked for),
        `exact_share`, `near_share`, and `pairs`: the first ten as `{"row", "train", "match", "jaccard"}`, rows by their
        numbers; `placed` writes their places.
    """
    trained = np.isin(index.rows["split"], [CODES[split] for split in _TRAINED]) & index.kept
    held = np.isin(index.rows["split"], [CODES[split] for split in HELD_OUT]) & index.kept
    asked = index.rows["asked"].tolist()
    first: dict[int, int] = {}
    for i in np.flatnonzero(trained).tolist():
        first.setdefault(asked[i], i)
    first.pop(0, None)
    exact = {i: (first[asked[i]], 1.0) for i in np.flatnonzero(held).tolist() if asked[i] in first}
    found = exact if near is None else _near_matches(asked, near, held, first) | exact
    result: dict[str, Any] = {"threshold": None if near is None else threshold}
    for split in HELD_OUT:
        result[split] = _of_split(split, index, found, set(exact))
        if near is None:
            result[split].update(near=None, near_share=None)
    return result


def shown_rows(leaks: Mapping[str, Any]) -> set[int]:
    """Numbers of the rows whose places are to be told."""
    pairs = [pair for split in HELD_OUT for pair in leaks[split]["pairs"]]
    return {pair[side] for pair in pairs for side in ("row", "train")}


def placed(leaks: Mapping[str, Any], places: Mapping[int, str]) -> dict[str, Any]:
    """`leaks` with places in place of row numbers."""
    told = dict(leaks)
    for split in HELD_OUT:
        pairs = [pair | {side: places[pair[side]] for side in ("row", "train")} for pair in leaks[split]["pairs"]]
        told[split] = leaks[split] | {"pairs": pairs}
    return told


def _near_matches(asked: Sequence[int], near: Pairs, held: Mask, first: Mapping[int, int]) -> dict[int, _Match]:
    """Held-out row -> (nearest training row, Jaccard). Questions go by their hashes, since caps may have taken rows."""
    best: dict[int, _Match] = {}
    for i, j, jaccard in _both_ways(near):
        if asked[j] in first and jaccard > best.get(asked[i], (0, 0.0))[1]:
            best[asked[i]] = first[asked[j]], jaccard
    return {i: best[asked[i]] for i in np.flatnonzero(held).tolist() if asked[i] in best}


def _both_ways(near: Pairs) -> Iterable[tuple[int, int, float]]:
    for i, j, jaccard in zip(*(part.tolist() for part in near), strict=True):
        yield i, j, jaccard
        yield j, i, jaccard


def _of_split(split: Split, index: Index, found: dict[int, _Match], exact: set[int]) -> dict[str, Any]:
    rows = int(index.of_split(split).sum())
    leaked = sorted(i for i in found if index.rows["split"][i] == CODES[split])
    equal = sum(i in exact for i in leaked)
    pairs = [
        {
            "row": i,
            "train": found[i][0],
            "match": "exact" if i in exact else "near",
            "jaccard": round(found[i][1], 4),
        }
        for i in sorted(leaked, key=lambda i: (i not in exact, i))[:_SHOWN_PAIRS]
    ]
    near = len(leaked) - equal
    share = 1.0 / rows if rows else 0.0
    return {
        "rows": rows,
        "exact": equal,
        "near": near,
        "exact_share": equal * share,
        "near_share": near * share,
        "pairs": pairs,
    }
