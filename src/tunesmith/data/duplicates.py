"""Copies of rows within a split are merged into the first one, which stays and is named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tunesmith.core.types import Refusal
from tunesmith.data.grams import Rows
from tunesmith.data.index import Index
from tunesmith.data.spec import Duplicates

STEP = "duplicates"
EXACT, NEAR = "exact-duplicate", "near-duplicate"

CONTRADICTING = Refusal(
    reason="contradicting", detail="another row of this split gives another answer to the same question", fate="aside"
)


@dataclass(frozen=True)
class Copy:
    """A row that is a copy of a row that stays; `jaccard` is None where it is an exact one."""

    keeper: int
    jaccard: float | None = None

    @property
    def reason(self) -> str:
        """Reason of the drop."""
        return EXACT if self.jaccard is None else NEAR

    def detail(self, place: str) -> str:
        """What is told of it; `place` is the keeper's."""
        return f"the same as {place}" if self.jaccard is None else f"Jaccard {self.jaccard:.3f} with {place}"


def copies(index: Index, spec: Duplicates) -> dict[int, Copy]:
    """Row -> of what it is a copy; takes these rows out of the index.

    Two rows are copies when their own words are equal (or nearly so) and so are their targets, or labels; equal
    questions with different ones contradict each other and are no copies, see `contradicting`. Rows of sources that
    are already split are compared within their split only: a copy across splits is a leak, which is told and not
    tidied away. Planted rows are set apart meanwhile: how often they stand there is what they are for.
    """
    found: dict[int, Copy] = {}
    planted = index.planted
    index.kept[planted] = False
    if spec.exact:
        found |= _exact(index)
        index.kept[list(found)] = False
    if spec.near is not None:
        near = _near(index, spec.near)
        index.kept[list(near)] = False
        found |= near
    index.kept[planted] = True
    return found


def contradicting(index: Index) -> list[int]:
    """Kept rows whose question another kept row of their split gives another target; nobody knows which is right."""
    rows = index.rows
    where = np.flatnonzero(index.kept & (rows["asked"] != 0) & (rows["target"] != 0) & ~rows["text"])
    asked = _classes(index, "split", "asked")[where]
    _, answers = np.unique(rows["target"][where], return_inverse=True)
    pairs = np.unique(np.stack([asked, answers], axis=1), axis=0)
    several = np.bincount(pairs[:, 0], minlength=len(rows)) > 1
    return [int(row) for row in where[several[asked]]]


def _classes(index: Index, *columns: str) -> Rows:
    """Per row a number that kept rows share when they are alike in all these columns; -1: it is gone."""
    found = np.full(len(index.rows), -1, dtype=np.int64)
    alike = np.zeros(int(index.kept.sum()), dtype=np.int64)
    for column in columns:
        _, values = np.unique(index.rows[column][index.kept], return_inverse=True)
        _, alike = np.unique(alike * (1 + values.max(initial=0)) + values, return_inverse=True)
    found[index.kept] = alike
    return found


def _exact(index: Index) -> dict[int, Copy]:
    alike = _classes(index, "split", "said", "own")
    rows = np.flatnonzero(index.kept)
    _, first, of = np.unique(alike[rows], return_index=True, return_inverse=True)
    keepers = rows[first[of]]
    copies = keepers != rows
    return {i: Copy(keeper) for i, keeper in zip(rows[copies].tolist(), keepers[copies].tolist(), strict=True)}


def _near(index: Index, threshold: float) -> dict[int, Copy]:
    """Greedy from the first row on: a row goes when it is near a row that stays, so a chain does not swallow all."""
    left, right, share = index.near("own", threshold)
    beside: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for i, j, jaccard in zip(left.tolist(), right.tolist(), share.tolist(), strict=True):
        beside[i].append((j, jaccard))
        beside[j].append((i, jaccard))
    text_of, side_of = index.classes("own"), _classes(index, "split", "said")
    alone = np.bincount(text_of[text_of >= 0], minlength=len(text_of)) == 1
    alone[[*beside]] = False  # most rows are: only the others need be remembered
    stays: dict[tuple[int, int], int] = {}
    found: dict[int, Copy] = {}
    for j in np.flatnonzero((text_of >= 0) & ~alone[text_of]).tolist():
        of, side = int(text_of[j]), int(side_of[j])
        near = [(of, 1.0), *beside.get(of, ())]
        keepers = [(stays[key], jaccard) for text, jaccard in near if (key := (side, text)) in stays]
        if keepers:
            found[j] = Copy(*min(keepers))
        else:
            stays[side, of] = j
    return found
