"""What differs between two snapshots: rows by their content ids, counts, leaks, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunesmith.core.examples import iterate_examples
from tunesmith.core.types import Example, Snapshot, Split
from tunesmith.data.leak import HELD_OUT, KINDS
from tunesmith.data.texts import hash_of, verbatim


class _Row(NamedTuple):
    """What is kept in memory of a row."""

    split: Split | None
    place: str
    asked: int
    answer: str


@dataclass(frozen=True)
class Side:
    """One of the two snapshots.

    Args:
        name: what it is called in what is told.
        snapshot: opened, so that its rows can be read.
        settings: the section `data` that made it.
    """

    name: str
    snapshot: Snapshot
    settings: Mapping[str, Any]


def compare(old: Side, new: Side, *, shown: int = 10) -> dict[str, Any]:
    """What differs, as JSON values; nothing is judged.

    A row is known by its content id: what it says and answers. A row whose id is gone, and whose question stands in the
    new snapshot with another answer, has changed its target; it is not counted as removed and added.

    Args:
        old: the earlier one.
        new: the later one.
        shown: rows of each kind that are told with their places.

    Returns:
        `same` (equal content ids of the snapshots), `old` and `new` (name, id, rows), `rows` with `added`, `removed`,
        `moved` (another split), `relabelled` (another target) and `unchanged` counts, `shown` with the first of each,
        `counts` (what -> value -> [old, new], those that differ), `leakage` (split and public test set -> kind -> [old,
        new], those that differ), `settings` (path -> [old, new]).
    """
    left, right = _read(old.snapshot), _read(new.snapshot)
    gone = sorted((left.ids - right.ids).elements())
    come = sorted((right.ids - left.ids).elements())
    relabelled = _relabelled([left.rows[i] for i in gone], [right.rows[i] for i in come])
    were, are = {one for one, _ in relabelled}, {one for _, one in relabelled}
    both = sorted(left.ids.keys() & right.ids.keys())
    moved = [(left.rows[i], right.rows[i]) for i in both if left.rows[i].split != right.rows[i].split]
    removed = [left.rows[i] for i in gone if left.rows[i] not in were]
    added = [right.rows[i] for i in come if right.rows[i] not in are]
    kept = (left.ids & right.ids).total()
    return {
        "same": old.snapshot.id == new.snapshot.id,
        "old": {"name": old.name, "id": old.snapshot.id, "rows": left.ids.total()},
        "new": {"name": new.name, "id": new.snapshot.id, "rows": right.ids.total()},
        "rows": {
            "added": len(added),
            "removed": len(removed),
            "moved": len(moved),
            "relabelled": len(relabelled),
            "unchanged": kept - len(moved),
        },
        "shown": {
            "added": [{"place": row.place, "split": row.split} for row in _first(added, shown)],
            "removed": [{"place": row.place, "split": row.split} for row in _first(removed, shown)],
            "moved": [
                {"place": b.place, "old": a.split, "new": b.split}
                for a, b in sorted(moved, key=lambda pair: _order(pair[1]))[:shown]
            ],
            "relabelled": [
                {"place": b.place, "old": a.answer, "new": b.answer}
                for a, b in sorted(relabelled, key=lambda pair: _order(pair[1]))[:shown]
            ],
        },
        "counts": _counts(left, right, old.snapshot, new.snapshot),
        "leakage": _changed(_leaks(old.snapshot), _leaks(new.snapshot)),
        "settings": {path: list(pair) for path, pair in settings_changed(old.settings, new.settings).items()},
    }


def settings_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path with dots -> (old, new) for each setting that differs; None where a side has none. Lists are one value."""
    left, right = dict(_flat(old, "")), dict(_flat(new, ""))
    return {
        path: (left.get(path), right.get(path))
        for path in sorted(left.keys() | right.keys())
        if left.get(path) != right.get(path)
    }


def _flat(settings: Mapping[str, Any], path: str) -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        here = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, here)
        else:
            yield here, value


@dataclass
class _Rows:
    ids: Counter[str]
    rows: dict[str, _Row]
    counts: dict[str, Counter[str]]


def _read(snapshot: Snapshot) -> _Rows:
    found = _Rows(Counter(), {}, {name: Counter() for name in ("source", "kind", "answer")})
    for example in iterate_examples(snapshot.file("examples.parquet")):
        found.ids[example.id] += 1
        answer = _answer(example)
        if example.id not in found.rows:
            asked = hash_of(verbatim(example, ()))
            found.rows[example.id] = _Row(example.split, example.place or example.id, asked, answer)
        found.counts["source"][example.source] += 1
        found.counts["kind"][example.kind] += 1
        if example.target is not None or len(answer) <= _SHORT:
            found.counts["answer"][answer] += 1
    if len(found.counts["answer"]) > _MOST_ANSWERS:
        found.counts["answer"].clear()
    return found


_SHORT, _MOST_ANSWERS = 40, 100
"""Answers are counted where they are labels: short, and not more than a hundred different ones."""


def _answer(example: Example) -> str:
    said = example.reference if example.text is None else ""
    return said if len(said) <= 200 else f"{said[:199]}\u2026"


def _relabelled(removed: list[_Row], added: list[_Row]) -> list[tuple[_Row, _Row]]:
    """Pairs of rows that ask the same and are answered otherwise; each row stands in at most one."""
    waiting: dict[int, list[_Row]] = {}
    for row in sorted(removed, key=_order, reverse=True):
        waiting.setdefault(row.asked, []).append(row)
    pairs = []
    for row in sorted(added, key=_order):
        if row.asked and waiting.get(row.asked):
            pairs.append((waiting[row.asked].pop(), row))
    return pairs


def _order(row: _Row) -> tuple[str, int, str]:
    """By file, then by the number in it."""
    file, _, number = row.place.rpartition(":")
    return (file, int(number), "") if number.isdigit() else (row.place, 0, row.answer)


def _first(rows: list[_Row], shown: int) -> list[_Row]:
    return sorted(rows, key=_order)[:shown]


def _counts(left: _Rows, right: _Rows, old: Snapshot, new: Snapshot) -> dict[str, dict[str, list[int]]]:
    sides = {name: (left.counts[name], right.counts[name]) for name in left.counts}
    told = {"split": (old.splits, new.splits), **sides, "dropped": (old.dropped, new.dropped)}
    return {name: found for name, (one, other) in told.items() if (found := _changed(one, other))}


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = sorted(old.keys() | new.keys())
    return {name: [old.get(name, 0), new.get(name, 0)] for name in names if old.get(name, 0) != new.get(name, 0)}


def _leaks(snapshot: Snapshot) -> dict[str, int]:
    """`test: reworded` -> rows; kinds that were not looked for count as 0."""
    found = {split: snapshot.leakage.get(split, {}) for split in HELD_OUT} | snapshot.leakage.get("public", {})
    return {
        f"{name}: {kind}": int(told.get("kinds", {}).get(kind) or 0) for name, told in found.items() for kind in KINDS
    }
