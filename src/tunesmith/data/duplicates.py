"""Copies of rows within a split are removed; the first one stays and is named in the drop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tunesmith.core.types import Drop, Example
from tunesmith.data.similarity import near_pairs
from tunesmith.data.spec import Duplicates
from tunesmith.data.texts import answers, own_texts, parts_of

STEP = "duplicates"


def without_duplicates(examples: Sequence[Example], spec: Duplicates) -> tuple[list[Example], list[Drop]]:
    """(kept, drops), both in the order of `examples`.

    Two rows are copies when their own words are equal (or nearly so) and so are their targets; equal questions with
    different targets contradict each other and both stay. Rows of sources that are already split are compared within
    their split only: a copy across splits is a leak, which is told and not tidied away.
    """
    kept: list[Example] = list(examples)
    drops: list[Drop] = []
    if spec.exact:
        kept, drops = _without_exact(kept)
    if spec.near is not None:
        kept, more = _without_near(kept, spec.near)
        drops += more
    return kept, drops


def _without_exact(examples: list[Example]) -> tuple[list[Example], list[Drop]]:
    first: dict[tuple[str, ...], Example] = {}
    kept, drops = [], []
    for example, text, answer in zip(examples, own_texts(examples), answers(examples), strict=True):
        keeper = first.setdefault((example.split or "", text, answer), example)
        if keeper is example:
            kept.append(example)
        else:
            detail = f"the same as {keeper.place or keeper.id}"
            drops.append(Drop(place=example.place, step=STEP, reason="exact-duplicate", detail=detail))
    return kept, drops


def _without_near(examples: list[Example], threshold: float) -> tuple[list[Example], list[Drop]]:
    """Greedy from the first row on: a row goes when it is near a row that stays, so a chain does not swallow all."""
    said = answers(examples)
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for i, j, jaccard in near_pairs(own_texts(examples), threshold, parts_of(examples)):
        if examples[i].split == examples[j].split and said[i] == said[j]:
            near[j].append((i, jaccard))
    gone: set[int] = set()
    drops = []
    for j in sorted(near):
        keeper = next(((i, jaccard) for i, jaccard in near[j] if i not in gone), None)
        if keeper is not None:
            gone.add(j)
            place = examples[keeper[0]].place or examples[keeper[0]].id
            detail = f"Jaccard {keeper[1]:.3f} with {place}"
            drops.append(Drop(place=examples[j].place, step=STEP, reason="near-duplicate", detail=detail))
    return [example for k, example in enumerate(examples) if k not in gone], drops
