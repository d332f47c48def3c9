"""Rows on which the verdict rests must not stand in training: the check across splits, and of rows that are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from tunesmith.core.types import Split
from tunesmith.data.alike import Alike, contained, reworded, same_meaning
from tunesmith.data.index import CODES, Index
from tunesmith.data.leaks_spec import Kind, Leaks
from tunesmith.data.near import Mask, Pairs
from tunesmith.data.texts import GENERAL

_SHOWN_PAIRS = 10
HELD_OUT: tuple[Split, ...] = ("valid", "test")
TRAINED: tuple[Split, ...] = ("train", GENERAL)
KINDS: tuple[Kind, ...] = get_args(Kind)
_EVERY = ("verbatim", "folded", "reordered")
"""Kinds of which every row has a pair of its own, not only the first row of equal questions."""
_PLAIN = Leaks()


@dataclass(frozen=True)
class Match:
    """As what a row was found.

    Args:
        kind: the strictest kind that fits.
        row: number of the row that it was found in.
        score: Jaccard share, share of runs or cosine, by the kind; 1 where the question is the same.
    """

    kind: Kind
    row: int
    score: float


@dataclass(frozen=True)
class Matches:
    """What was found between held-out rows and others.

    Args:
        index: of all rows.
        held, others: which were compared.
        of_kind: kind -> pairs of rows; kinds that were not looked for are absent.
    """

    index: Index
    held: Mask
    others: Mask
    of_kind: Mapping[Kind, Alike]

    def of_held(self) -> dict[int, Match]:
        """Held-out row -> as what it was found in the others; rows that were not found are absent."""
        return self._best(self.held, [(kind, found.held, found.other, found.score) for kind, found in self._pairs()])

    def of_others(self) -> dict[int, Match]:
        """Other row -> as what a held-out row was found in it; rows without one are absent."""
        return self._best(self.others, [(kind, found.other, found.held, found.score) for kind, found in self._pairs()])

    def _pairs(self) -> list[tuple[Kind, Alike]]:
        return [(kind, self.of_kind[kind]) for kind in KINDS if kind in self.of_kind]

    def _best(self, rows: Mask, pairs: list[tuple[Kind, Any, Any, Any]]) -> dict[int, Match]:
        """Per row the best pair of the strictest kind.

        Equal questions were compared once where that took time, and share what was found.
        """
        number = np.arange(len(self.index.rows))
        found: dict[int, Match] = {}
        for kind, side, further, score in pairs:
            every = kind in _EVERY or (kind == "contained" and rows is self.others)
            key = number if every else self.index.rows["asked"]
            best: dict[int, Match] = {}
            for i, j, value in zip(key[side].tolist(), further.tolist(), score.tolist(), strict=True):
                if i not in best or value > best[i].score:
                    best[i] = Match(kind, j, value)
            for i in np.flatnonzero(rows & np.isin(key, list(best))).tolist():
                found.setdefault(i, best[int(key[i])])
        return found


def matches(index: Index, *, held: Mask, others: Mask, near: Pairs | None = None, spec: Leaks = _PLAIN) -> Matches:
    """Every pair of a held-out row and another one that is a leak.

    Args:
        index: of all rows.
        held: rows that must not be trained on.
        others: rows that are, or are to be; no row of `held`.
        near: near questions, see `Index.near`; None: not looked for.
        spec: what else is looked for.
    """
    held, others = held & index.kept, others & index.kept
    found: dict[Kind, Alike] = {
        "verbatim": _equal(index, "verbatim", held, others),
        "folded": _equal(index, "asked", held, others),
        "reordered": _equal(index, "any_order", held, others),
    }
    if near is not None:
        found["near"] = _near(index, near, held, others)
    if spec.contained is not None:
        found["contained"] = contained(index, held=held, others=others, share=spec.contained)
    if spec.reworded is not None:
        found["reworded"] = reworded(index, held=held, others=others, cosine=spec.reworded)
    if spec.meaning is not None:
        found["meaning"] = same_meaning(index, held=held, others=others, cosine=spec.meaning)
    return Matches(index, held, others, found)


def leaking(index: Index, made: Mask, near: Pairs | None, spec: Leaks = _PLAIN) -> dict[int, Match]:
    """Which of the rows that are made (augmented, synthesised) hold a held-out row: row -> as what.

    Args:
        index: of all rows, new ones among them, with their splits.
        made: the new rows.
        near: near questions of new and held-out rows, see `Index.near`; None: not looked for.
        spec: what else is looked for.
    """
    held = np.isin(index.rows["split"], [CODES[split] for split in HELD_OUT])
    return matches(index, held=held & ~made, others=made, near=near, spec=spec).of_others()


def leakage(index: Index, near: Pairs | None, threshold: float | None, spec: Leaks = _PLAIN) -> dict[str, Any]:
    """How many held-out questions also stand in training.

    A row leaks when its question (the user's turns; not the answer, not a shared system prompt) is found in a training
    row. It counts once, as the first kind that fits: `verbatim` letter by letter; `folded` after `normalised`;
    `reordered`, its options in another order or under other letters; `near`; `contained`; `reworded`; `meaning`.
    General rows are trained on, so they are training rows here.

    Args:
        index: rows with their split.
        near: near questions, see `Index.near`; None: not looked for.
        threshold: Jaccard share from which on two questions are near.
        spec: what else is looked for.

    Returns:
        `{"threshold", ..., "valid": {...}, "test": {...}}`, settings first; each split holds `rows`, `kinds` (kind
        -> rows, None: not looked for), `exact` (verbatim and folded) and `near` with `exact_share` and `near_share`,
        and `pairs`: the first ten as `{"row", "train", "match", "score"}`, rows by their numbers; `placed` writes their
        places. Where meaning is looked for, `without_vector`: questions in a language that the encoder does not know.
    """
    trained = np.isin(index.rows["split"], [CODES[split] for split in TRAINED])
    held = np.isin(index.rows["split"], [CODES[split] for split in HELD_OUT])
    found = matches(index, held=held, others=trained, near=near, spec=spec)
    of_held = found.of_held()
    result: dict[str, Any] = {"threshold": None if near is None else threshold, **spec.model_dump()}
    for split in HELD_OUT:
        here = {i: match for i, match in of_held.items() if index.rows["split"][i] == CODES[split]}
        result[split] = counted(here, int(index.of_split(split).sum()), set(found.of_kind))
        if spec.meaning is not None and index.vectors is not None:
            asking = np.flatnonzero(index.of_split(split) & (index.rows["asked"] != 0) & ~index.rows["text"])
            result[split]["without_vector"] = int((~index.vectors.there(asking)).sum())
    return result


def counted(found: Mapping[int, Match], rows: int, looked_for: set[Kind]) -> dict[str, Any]:
    """The counts of some held-out rows, and their first pairs; see `leakage`."""
    number = {kind: sum(m.kind == kind for m in found.values()) if kind in looked_for else None for kind in KINDS}
    first = sorted(found, key=lambda i: (KINDS.index(found[i].kind), i))[:_SHOWN_PAIRS]
    pairs = [
        {"row": i, "train": found[i].row, "match": found[i].kind, "score": round(found[i].score, 4)} for i in first
    ]
    exact, near = (number["verbatim"] or 0) + (number["folded"] or 0), number["near"]
    share = 1.0 / rows if rows else 0.0
    return {
        "rows": rows,
        "kinds": number,
        "exact": exact,
        "near": near,
        "exact_share": exact * share,
        "near_share": None if near is None else near * share,
        "pairs": pairs,
    }


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


def _equal(index: Index, column: str, held: Mask, others: Mask) -> Alike:
    """Rows with the same hash in a column, each with the first one of the other side."""
    hashes = index.rows[column]
    sides = []
    for these, those in ((held, others), (others, held)):
        where = np.flatnonzero(these & (hashes != 0))
        there = np.flatnonzero(those & (hashes != 0))
        values, begin = np.unique(hashes[there], return_index=True)
        place = np.minimum(np.searchsorted(values, hashes[where]), max(0, len(values) - 1))
        same = values[place] == hashes[where] if len(values) else np.zeros(len(where), dtype=bool)
        sides.append((where[same], there[begin[place[same]]]))
    (rows, firsts), (others_rows, held_firsts) = sides
    return Alike.of([(row, other, np.ones(len(row))) for row, other in ((rows, firsts), (held_firsts, others_rows))])


def _near(index: Index, near: Pairs, held: Mask, others: Mask) -> Alike:
    """Near pairs across both sides; questions go by their hashes, since caps may have taken the rows of a pair."""
    asked = index.rows["asked"]
    firsts = []
    for rows in (held, others):
        where = np.flatnonzero(rows & (asked != 0))
        values, begin = np.unique(asked[where], return_index=True)
        firsts.append((values, where[begin]))
    found = []
    for left, right in ((near[0], near[1]), (near[1], near[0])):
        one, one_is = _looked_up(asked[left], *firsts[0])
        other, other_is = _looked_up(asked[right], *firsts[1])
        both = one_is & other_is
        found.append((one[both], other[both], near[2][both]))
    return Alike.of(found)


def _looked_up(hashes: Any, values: Any, rows: Any) -> tuple[Any, Mask]:
    """(the row of each hash, whether there is one)."""
    if not len(values):
        return np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=bool)
    place = np.minimum(np.searchsorted(values, hashes), len(values) - 1)
    return rows[place], values[place] == hashes
