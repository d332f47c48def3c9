"""Copies of rows within a split are merged into the first one, which stays and is named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tunesmith.core.types import Refusal
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
    asked = zip(rows["split"].tolist(), rows["asked"].tolist(), strict=True)
    places = [
        (i, key)
        for i, key in enumerate(asked)
        if index.kept[i] and key[1] and rows["target"][i] and not rows["text"][i]
    ]
    answers: dict[tuple[int, int], set[int]] = defaultdict(set)
    for i, key in places:
        answers[key].add(int(rows["target"][i]))
    return [i for i, key in places if len(answers[key]) > 1]


def _keys(index: Index) -> list[tuple[int, int, int]]:
    rows = index.rows
    return list(zip(rows["split"].tolist(), rows["said"].tolist(), rows["own"].tolist(), strict=True))


def _exact(index: Index) -> dict[int, Copy]:
    first: dict[tuple[int, int, int], int] = {}
    found: dict[int, Copy] = {}
    for i, key in enumerate(_keys(index)):
        if index.kept[i] and (keeper := first.setdefault(key, i)) != i:
            found[i] = Copy(keeper)
    return found


def _near(index: Index, threshold: float) -> dict[int, Copy]:
    """Greedy from the first row on: a row goes when it is near a row that stays, so a chain does not swallow all."""
    left, right, share = index.near("own", threshold)
    beside: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for i, j, jaccard in zip(left.tolist(), right.tolist(), share.tolist(), strict=True):
        beside[i].append((j, jaccard))
        beside[j].append((i, jaccard))
    of_class = index.classes("own").tolist()
    stays: dict[tuple[int, int, int], int] = {}
    found: dict[int, Copy] = {}
    for j, (split, said, _) in enumerate(_keys(index)):
        of = of_class[j]
        if of < 0:
            continue
        near = [(of, 1.0), *beside.get(of, ())]
        keepers = [(stays[key], jaccard) for text, jaccard in near if (key := (split, said, text)) in stays]
        if keepers:
            found[j] = Copy(*min(keepers))
        else:
            stays[split, said, of] = j
    return found
