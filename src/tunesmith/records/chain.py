"""The hash chain as a pure function: rows in, everything that is wrong with them out.

Each record's hash covers its number, time, kind, actor, body and the hash of the record before it. A row is
*authentic* when its hash fits its content under some number; that number is its true place. From the true places,
the places where rows stand, and the links between them follows what was done to the ledger.

What a chain without keys cannot show: records that were rewritten together with every hash after them, and records
cut off the end. Both are seen only against a head (number and hash of the last record) that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from tunesmith.core.errors import Problem
from tunesmith.core.ids import canonical_json

GENESIS = "0" * 64
"""What the first record has in place of the hash of the record before it."""

_SHIFTS = [step * sign for step in range(1, 9) for sign in (1, -1)]

_SAID = {
    "ledger-altered": "{} was altered after it was written",
    "ledger-removed": "{} was removed",
    "ledger-inserted": "{} was inserted afterwards",
    "ledger-reordered": "{} was moved to another place",
    "ledger-forked": "{} does not continue the record before it but an earlier one, or stands twice",
    "ledger-unlinked": "{} does not continue the record before it: one of the two was replaced",
    "ledger-truncated": "{} was cut off the end",
    "ledger-rewritten": "{} is not the record that the kept head names: the ledger was rewritten up to it",
}
_HINT = "compare with a copy that was kept elsewhere; from this record on the ledger proves nothing by itself"


class Head(NamedTuple):
    """Number and hash of the last record; number 0 and `GENESIS` for an empty ledger."""

    seq: int
    hash: str


class Row(NamedTuple):
    """One stored record, as it was read and not yet believed; `place` is its key or its line."""

    place: int
    seq: int
    at: str
    kind: str
    actor: str
    body: str
    previous: str
    hash: str


def body_text(body: Mapping[str, Any]) -> str:
    """The one form in which a body is stored: sorted keys, no spaces, ASCII; ValueError for NaN and infinity."""
    plain = json.loads(canonical_json(body))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def record_hash(row: Row) -> str:
    """SHA-256 over the canonical JSON of seq, at, kind, actor, body and previous, hexadecimal.

    Raises:
        ValueError or TypeError: the row is not in the form in which records are written.
    """
    body = json.loads(row.body)
    if json.dumps(body, sort_keys=True, separators=(",", ":")) != row.body:
        raise ValueError("the body is not in its canonical form")
    fields = {"seq": row.seq, "at": row.at, "kind": row.kind, "actor": row.actor}
    return hashlib.sha256(canonical_json({**fields, "body": body, "previous": row.previous})).hexdigest()


def damage(rows: Sequence[Row], *, expect: Head | None, where: str) -> list[Problem]:
    """Everything that is wrong with a ledger, in order of the records; empty if it is whole.

    Args:
        rows: all rows, in the order in which they stand.
        expect: a head kept elsewhere; the ledger must contain it, and may have gone on since.
        where: name of the ledger, for messages.

    Returns:
        Problems with `line` the number of the (first) record concerned. Codes: `ledger-altered`, `-removed`,
        `-inserted`, `-reordered`, `-forked`, `-unlinked`, `-truncated`, `-rewritten`.
    """
    chain = _Chain(rows, _true_numbers(rows))
    chain.choose_originals(expect)
    chain.place_altered()
    chain.find_moved_and_missing()
    chain.check_links(expect)
    chain.check_head(expect)
    return _problems(chain.found, where)


def _true_numbers(rows: Sequence[Row]) -> list[int | None]:
    """For each row the number under which its hash fits; None where there is none."""
    standing = {GENESIS: 0} | {row.hash: row.seq for row in rows}
    numbers: list[int | None] = []
    shift = 0
    for row in rows:
        number = row.seq if _fits(row, row.seq) else None
        if number is None and row.place == row.seq:
            tries = [row.seq + shift, standing.get(row.previous, row.seq) + 1, *(row.seq + by for by in _SHIFTS)]
            number = next((n for n in tries if n > 0 and _fits(row, n)), None)
            shift = 0 if number is None else number - row.seq
        numbers.append(number)
    return numbers


def _fits(row: Row, number: int) -> bool:
    try:
        return record_hash(row._replace(seq=number)) == row.hash
    except (TypeError, ValueError, RecursionError):
        return False


@dataclass
class _Chain:
    """The rows with their true numbers, and what was found so far: code -> series (first, last) of records."""

    rows: Sequence[Row]
    numbers: list[int | None]
    originals: dict[int, int] = field(default_factory=dict)
    """True number -> index of the row that is that record."""
    extra: set[int] = field(default_factory=set)
    """Indices of rows that do not belong in the ledger."""
    altered: set[int] = field(default_factory=set)
    """Numbers of records that are there with another content."""
    found: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, code: str, first: int, last: int | None = None) -> None:
        """Note what happened to one record, or to a series of them."""
        self.found[code].append((first, first if last is None else last))

    def choose_originals(self, expect: Head | None) -> None:
        """Of several rows with one number the original is the one that the others chain to; the rest are extra."""
        continued = {row.previous for row, number in zip(self.rows, self.numbers, strict=True) if number is not None}
        claims: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(self.numbers):
            if number is not None:
                claims[number].append(place)

        def standing(index: int) -> tuple[bool, bool, int]:
            own, digest = self.numbers[index] or 0, self.rows[index].hash
            before = index > 0 and self.numbers[index - 1] == own - 1
            after = index + 1 < len(self.rows) and self.numbers[index + 1] == own + 1
            return digest in continued, expect == Head(own, digest), before + after

        for number, indices in claims.items():
            original = self.originals[number] = max(indices, key=standing)
            for index in (i for i in indices if i != original):
                self.extra.add(index)
                copy = self.rows[index].hash == self.rows[original].hash
                self.tell("ledger-inserted" if copy else "ledger-forked", self.rows[index].place)

    def place_altered(self) -> None:
        """A row that fits no number is an altered record, or an insertion where its number is taken."""
        inserted = 0
        for index, number in enumerate(self.numbers):
            if number is None:
                own = self.rows[index].place - inserted
                if own in self.originals or own in self.altered:
                    self.extra.add(index)
                    self.tell("ledger-inserted", self.rows[index].place)
                else:
                    self.altered.add(own)
                    self.tell("ledger-altered", own)
            inserted += index in self.extra

    def find_moved_and_missing(self) -> None:
        """Numbers that no row has were removed; rows that insertions and removals do not explain were moved."""
        present = sorted({*self.originals, *self.altered})
        for before, after in pairwise([0, *present]):
            if after > before + 1:
                self.tell("ledger-removed", before + 1, after - 1)
        inserted = 0
        for index, number in enumerate(self.numbers):
            inserted += index in self.extra
            if index in self.extra or number is None:
                continue
            removed = number - 1 - bisect_left(present, number)
            if not inserted - removed <= self.rows[index].place - number <= inserted:
                self.tell("ledger-reordered", number)

    def check_links(self, expect: Head | None) -> None:
        """Every record continues the hash of the one before it; where both are authentic, says which was replaced."""
        hashes = {GENESIS, *(self.rows[index].hash for index in self.originals.values())}
        for number, index in self.originals.items():
            row, before, after = self.rows[index], self._original(number - 1), self._original(number + 1)
            if number > 1 and before is None:
                continue  # removed or altered, and told as such
            if row.previous == (before.hash if before else GENESIS):
                continue
            continued = after is not None and after.previous == row.hash
            if row.previous in hashes:
                self.tell("ledger-forked", number)
            elif before is not None and (continued or expect == Head(number, row.hash)):
                self.tell("ledger-altered", number - 1)
            else:
                self.tell("ledger-unlinked", number)

    def check_head(self, expect: Head | None) -> None:
        """The kept head is in the ledger."""
        if expect is None or expect.seq == 0:
            return
        top = max([0, *self.originals, *self.altered])
        original = self._original(expect.seq)
        if expect.seq > top:
            self.tell("ledger-truncated", top + 1, expect.seq)
        elif original is not None and original.hash != expect.hash:
            self.tell("ledger-rewritten", expect.seq)

    def _original(self, number: int) -> Row | None:
        index = self.originals.get(number)
        return None if index is None else self.rows[index]


def _problems(found: Mapping[str, list[tuple[int, int]]], where: str) -> list[Problem]:
    """One problem for each code and unbroken series of records."""
    problems = []
    for code, series in found.items():
        for first, last in _joined(sorted(series)):
            what = f"record {first}" if first == last else f"each of the records {first} to {last}"
            problems.append(Problem(code, _SAID[code].format(what), _HINT, where, line=first))
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.code))


def _joined(series: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in series:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
