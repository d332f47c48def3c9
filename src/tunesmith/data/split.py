"""Train, valid and test by whole groups; near-duplicates count as one group, so no pair straddles two splits."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from tunesmith.core.types import Drop, Example, Split
from tunesmith.data.similarity import near_pairs
from tunesmith.data.texts import GENERAL, parts_of, questions

STEP = "split"
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_MOST_LABELS_SHARE = 0.2


def assign_splits(
    examples: Sequence[Example], shares: dict[Split, float], *, near: float | None, seed: int
) -> list[Example]:
    """Every row with a split; rows that came with one keep it, general rows too.

    Rows are joined by group, by equal question and by near question (Jaccard >= `near`; None: not looked for). The
    joined sets are dealt out whole, large ones first, equal ones in an order drawn by `seed`, each to the split where
    it lowers most the chi-square distance between wanted and reached rows, over all rows and per label. A set that
    holds rows already split follows these; one that holds general rows, which are trained on, goes to training.

    Args:
        examples: rows, some with a split of their own.
        shares: wanted share per split; only their proportions count.
        near: Jaccard threshold.
        seed: decides among equals.
    """
    if all(example.split for example in examples):
        return list(examples)
    members: dict[int, list[int]] = defaultdict(list)
    for i, root in enumerate(_joined(examples, near)):
        members[root].append(i)
    labels = _strata(examples)
    order = sorted(members.values(), key=lambda rows: (-len(rows), _draw(seed, _name(examples[rows[0]]))))
    chosen: dict[int, Split] = {}
    dealer = _Dealer(shares, Counter(label for i, label in enumerate(labels) if examples[i].split is None))
    for rows in order:
        free = [i for i in rows if examples[i].split is None]
        fixed = [split for split in SPLITS if any(examples[i].split == split for i in rows)]
        if not fixed and any(examples[i].split == GENERAL for i in rows):
            fixed = ["train"]
        if free:
            split = dealer.deal(Counter(labels[i] for i in free), fixed[0] if fixed else None)
            chosen.update(dict.fromkeys(free, split))
    return [e.model_copy(update={"split": chosen[i]}) if i in chosen else e for i, e in enumerate(examples)]


def cap_rows(examples: Sequence[Example], at_most: dict[Split, int], *, seed: int) -> tuple[list[Example], list[Drop]]:
    """(kept, drops) with no more rows per split than `at_most`, drawn by `seed` in the labels' proportions."""
    labels = _strata(examples)
    gone: set[int] = set()
    for split, most in at_most.items():
        rows = [i for i, example in enumerate(examples) if example.split == split]
        if len(rows) > most:
            gone |= set(rows) - _drawn(rows, labels, most, seed, examples)
    drops = [
        Drop(place=e.place, step=STEP, reason="over-cap", detail=f"at_most_rows.{e.split} is {at_most[e.split]}")
        for i, e in enumerate(examples)
        if i in gone and e.split
    ]
    return [e for i, e in enumerate(examples) if i not in gone], drops


class _Dealer:
    """Keeps count of wanted and reached rows per split and label."""

    def __init__(self, shares: dict[Split, float], labels: Counter[str]) -> None:
        total = sum(shares.values())
        self._share = {split: shares.get(split, 0.0) / total for split in SPLITS if shares.get(split, 0.0) > 0}
        self._labels = labels
        self._reached: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}

    def deal(self, rows: Counter[str], fixed: Split | None) -> Split:
        """The split that `rows` go to: `fixed`, or the one where they lower the distance most."""
        split = min(self._share, key=lambda s: self._distance_added(s, rows)) if fixed is None else fixed
        self._reached[split].update(rows)
        return split

    def _distance_added(self, split: Split, rows: Counter[str]) -> float:
        """Change of sum (reached - wanted)^2 / wanted when `rows` are added: ((r + c - w)^2 - (r - w)^2) / w."""
        share, reached = self._share[split], self._reached[split]
        wanted, count = share * self._labels.total(), rows.total()
        change = count * (2 * (reached.total() - wanted) + count) / wanted
        for label, more in rows.items():
            wanted = share * self._labels[label]
            change += more * (2 * (reached[label] - wanted) + more) / wanted
        return change


def _joined(examples: Sequence[Example], near: float | None) -> list[int]:
    """For each row the smallest row number of the set it belongs to (union-find with path halving)."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((root(i), root(j)))
        parent[high] = low

    asked = questions(examples)
    first: dict[Hashable, int] = {}
    for i, example in enumerate(examples):
        if asked[i]:
            join(i, first.setdefault(("question", asked[i]), i))
        if example.group is not None:
            join(i, first.setdefault(("group", example.group), i))
    if near is not None:
        for i, j, _ in near_pairs(asked, near, parts_of(examples)):
            join(i, j)
    return [root(i) for i in range(len(examples))]


def _strata(examples: Sequence[Example]) -> list[str]:
    """Each row's answer where the domain has few different ones, else one stratum; general rows have one anyway."""
    labels = [example.reference for example in examples if example.split != GENERAL]
    if len(set(labels)) > max(2, _MOST_LABELS_SHARE * len(labels)):
        return [""] * len(examples)
    return ["" if example.split == GENERAL else example.reference for example in examples]


def _drawn(rows: list[int], labels: list[str], most: int, seed: int, examples: Sequence[Example]) -> set[int]:
    """`most` of `rows`: each label gets its share, the remaining rows go to the largest remainders."""
    strata: dict[str, list[int]] = defaultdict(list)
    for i in sorted(rows, key=lambda i: (_draw(seed, examples[i].id), i)):
        strata[labels[i]].append(i)
    exact = {label: most * len(members) / len(rows) for label, members in strata.items()}
    take = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (take[label] - exact[label], label))
    for label in by_remainder[: most - sum(take.values())]:
        take[label] += 1
    return {i for label, members in strata.items() for i in members[: take[label]]}


def _name(example: Example) -> str:
    return example.group if example.group is not None else example.id


def _draw(seed: int, name: str) -> str:
    """A number that looks random, the same on every machine."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
