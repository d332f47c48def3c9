"""Train, valid and test by whole groups; near-duplicates count as one group, so no pair straddles two splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.types import Split
from tunesmith.data.index import CODES, SPLITS, Index
from tunesmith.data.near import Pairs
from tunesmith.data.texts import GENERAL

STEP = "split"
_MOST_LABELS_SHARE = 0.2
_ONE = 0
"""The stratum of rows that have none of their own."""


def assign_splits(index: Index, shares: dict[Split, float], *, near: Pairs | None) -> None:
    """Give every kept row a split; rows that came with one keep it, general rows too.

    Rows are joined by group, by equal question and by near question. The joined sets are dealt out whole, large ones
    first, equal ones in the order of the numbers drawn for them, each to the split where it lowers most the chi-square
    distance between wanted and reached rows, over all rows and per label. A set that holds rows already split follows
    these; one that holds general rows, which are trained on, goes to training. Planted rows are trained on, too.

    Args:
        index: its column `split` is filled.
        shares: wanted share per split; only their proportions count.
        near: near questions, see `Index.near`; None: not looked for.
    """
    splits = index.rows["split"]
    splits[index.planted & (splits < 0)] = CODES["train"]
    kept = np.flatnonzero(index.kept)
    if not np.any(splits[kept] < 0):
        return
    labels = _strata(index)
    free, rows_of = np.unique(labels[kept[splits[kept] < 0]], return_counts=True)
    dealer = _Dealer(shares, Counter(dict(zip(free.tolist(), rows_of.tolist(), strict=True))))
    for rows in _sets(kept, _joined(index, near), index.rows["by_group"]):
        given = set(splits[rows].tolist())
        fixed = next((split for split in SPLITS if CODES[split] in given), None)
        if fixed is None and CODES[GENERAL] in given:
            fixed = "train"
        to_deal = rows[splits[rows] < 0]
        if len(to_deal):
            splits[to_deal] = CODES[dealer.deal(Counter(labels[to_deal].tolist()), fixed)]


def cap_rows(index: Index, at_most: dict[Split, int]) -> dict[Split, list[int]]:
    """Split -> rows beyond its cap, which are taken out of the index; who stays is drawn in the labels' proportions."""
    labels = _strata(index)
    gone: dict[Split, list[int]] = {}
    for split, most in at_most.items():
        rows = np.flatnonzero(index.of_split(split))
        if len(rows) > most:
            gone[split] = sorted(set(rows.tolist()) - _drawn(rows.tolist(), labels, most, index.rows["by_row"]))
    for rows_gone in gone.values():
        index.kept[rows_gone] = False
    return gone


class _Dealer:
    """Keeps count of wanted and reached rows per split and label."""

    def __init__(self, shares: dict[Split, float], labels: Counter[int]) -> None:
        total = sum(shares.values())
        self._share = {split: shares.get(split, 0.0) / total for split in SPLITS if shares.get(split, 0.0) > 0}
        self._labels = labels
        self._reached: dict[Split, Counter[int]] = {split: Counter() for split in SPLITS}
        self._totals: Counter[Split] = Counter()

    def deal(self, rows: Counter[int], fixed: Split | None) -> Split:
        """The split that `rows` go to: `fixed`, or the one where they lower the distance most."""
        split = min(self._share, key=lambda s: self._distance_added(s, rows)) if fixed is None else fixed
        self._reached[split].update(rows)
        self._totals[split] += rows.total()
        return split

    def _distance_added(self, split: Split, rows: Counter[int]) -> float:
        """Change of sum (reached - wanted)^2 / wanted when `rows` are added: ((r + c - w)^2 - (r - w)^2) / w."""
        share, reached = self._share[split], self._reached[split]
        wanted, count = share * self._labels.total(), rows.total()
        change = count * (2 * (self._totals[split] - wanted) + count) / wanted
        for label, more in rows.items():
            wanted = share * self._labels[label]
            change += more * (2 * (reached[label] - wanted) + more) / wanted
        return change


def _joined(index: Index, near: Pairs | None) -> NDArray[Any]:
    """For each row the number of the set it belongs to: rows with the same question or group, or near questions."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [] if near is None else [near[:2]]
    for column in ("asked", "group"):
        first = index.classes(column)
        pairs.append((np.flatnonzero(first >= 0), first[first >= 0]))
    one, other = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    edges: Any = (np.ones(len(one), dtype=np.int8), (one, other))
    number: NDArray[Any] = connected_components(coo_matrix(edges, shape=(len(index.rows),) * 2), directed=False)[1]
    return number


def _sets(kept: NDArray[np.int64], number: NDArray[Any], drawn: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """The kept rows of each set, ascending: large sets first, equally large ones as drawn for their first rows."""
    rows = kept[np.argsort(number[kept], kind="stable")]
    _, begin, sizes = np.unique(number[rows], return_index=True, return_counts=True)
    first = rows[begin]
    for at in np.lexsort((first, drawn[first], -sizes)).tolist():
        yield rows[begin[at] : begin[at] + sizes[at]]


def _strata(index: Index) -> NDArray[np.int64]:
    """Each row's answer where the domain has few different ones, else one stratum; general rows have one anyway."""
    own = index.kept & ~index.general
    labels = index.rows["label"][own]
    if len(np.unique(labels)) > max(2, _MOST_LABELS_SHARE * len(labels)):
        return np.full(len(index.rows), _ONE, dtype=np.int64)
    return np.where(index.general, _ONE, index.rows["label"])


def _drawn(rows: list[int], labels: NDArray[np.int64], most: int, numbers: NDArray[Any]) -> set[int]:
    """`most` of `rows`: each label gets its share, the remaining rows go to the largest remainders."""
    strata: dict[int, list[int]] = defaultdict(list)
    for i in sorted(rows, key=lambda i: (int(numbers[i]), i)):
        strata[int(labels[i])].append(i)
    exact = {label: most * len(members) / len(rows) for label, members in strata.items()}
    take = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (take[label] - exact[label], min(strata[label])))
    for label in by_remainder[: most - sum(take.values())]:
        take[label] += 1
    return {i for label, members in strata.items() for i in members[: take[label]]}
