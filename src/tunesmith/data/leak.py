"""Rows on which the verdict rests must not stand in training: the check across splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.types import Example, Split
from tunesmith.data.similarity import near_pairs
from tunesmith.data.texts import GENERAL, parts_of, questions

_SHOWN_PAIRS = 10
_Match = tuple[int, float]
_HELD_OUT: tuple[Split, ...] = ("valid", "test")
_TRAINED: tuple[Split, ...] = ("train", GENERAL)


def leakage(examples: Sequence[Example], threshold: float | None) -> dict[str, Any]:
    """How many held-out questions also stand in training.

    A row leaks when its question (the user's turns; not the answer, not a shared system prompt) equals one in training
    after `normalised`, or else is near one. A row counts once, as exact if it is both. General rows are trained on, so
    they are training rows here.

    Args:
        examples: rows with their split.
        threshold: Jaccard share from which on two questions are near; None: only exact copies are looked for.

    Returns:
        `{"threshold", "valid": {...}, "test": {...}}`; each split holds `rows`, `exact`, `near` (None: not looked for),
        `exact_share`, `near_share`, and `pairs`: the first ten as `{"row", "train", "match", "jaccard"}`.
    """
    asked = questions(examples)
    exact = _exact_matches(examples, asked)
    near = {} if threshold is None else _near_matches(examples, asked, threshold)
    found = near | exact
    result: dict[str, Any] = {"threshold": threshold}
    for split in _HELD_OUT:
        result[split] = _of_split(split, examples, found, set(exact))
        if threshold is None:
            result[split].update(near=None, near_share=None)
    return result


def _exact_matches(examples: Sequence[Example], asked: Sequence[str]) -> dict[int, _Match]:
    """Held-out row -> (first training row with the same question, 1)."""
    first: dict[str, int] = {}
    for i, example in enumerate(examples):
        if example.split in _TRAINED and asked[i]:
            first.setdefault(asked[i], i)
    held = [i for i, example in enumerate(examples) if example.split in _HELD_OUT]
    return {i: (first[asked[i]], 1.0) for i in held if asked[i] in first}


def _near_matches(examples: Sequence[Example], asked: Sequence[str], threshold: float) -> dict[int, _Match]:
    """Held-out row -> (nearest training row, Jaccard)."""
    found: dict[int, _Match] = {}
    for i, j, jaccard in near_pairs(asked, threshold, parts_of(examples)):
        for held, train in ((i, j), (j, i)):
            crosses = examples[held].split in _HELD_OUT and examples[train].split in _TRAINED
            if crosses and jaccard > found.get(held, (train, 0.0))[1]:
                found[held] = (train, jaccard)
    return found


def _of_split(split: Split, examples: Sequence[Example], found: dict[int, _Match], exact: set[int]) -> dict[str, Any]:
    rows = sum(e.split == split for e in examples)
    leaked = sorted(i for i in found if examples[i].split == split)
    equal = sum(i in exact for i in leaked)
    pairs = [
        {
            "row": examples[i].place,
            "train": examples[found[i][0]].place,
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
