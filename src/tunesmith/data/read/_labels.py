"""Answers from a closed set."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.errors import did_you_mean, shorten
from tunesmith.core.types import CANARY, Drop, Example
from tunesmith.data.read._lines import STEP


def held_to(example: Example, labels: Sequence[str]) -> Example | Drop:
    """`example`, or a drop `unknown-label` where its answer is not one of `labels` (an empty set is open).

    The labels are the domain's: a general row, or a planted one, may answer anything.
    """
    if not labels or example.split == "general" or CANARY in example.attributes or example.reference in labels:
        return example
    detail = f"'{shorten(example.reference, width=40)}': {shorten(did_you_mean(example.reference, labels), width=160)}"
    return Drop(place=example.place, step=STEP, reason="unknown-label", detail=detail, byte=example.byte)
