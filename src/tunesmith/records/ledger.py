"""The ledger: an append-only record of every run, gate verdict, override and approval, chained by hashes.

What it shows and what it cannot: see `Ledger.verify`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import Problem, TunesmithError, UserError
from tunesmith.core.files import atomic_file, write_json
from tunesmith.core.ids import canonical_json
from tunesmith.records.chain import GENESIS, Head, Row, body_text, damage, record_hash
from tunesmith.records.database import LEDGER
from tunesmith.records.sessions import now
from tunesmith.records.store import RunStore

HEAD_FILE = "ledger.head"

_TRIES = 60
_COLUMNS = [LEDGER.c[name] for name in ("seq", "at", "kind", "actor", "body", "previous", "hash")]


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the ledger.

    Args:
        seq: 1, 2, 3, ...
        at: when it was written, UTC, ISO 8601 with microseconds, by the writer's clock.
        kind: what it is about (`run`, `verdict`, `override`, `approval`, ...).
        actor: who did it.
        body: JSON values. Nothing secret or personal belongs here: records cannot be erased.
        previous: hash of the record before, `GENESIS` for the first.
        hash: SHA-256 over the canonical JSON of all the fields above.
    """

    seq: int
    at: str
    kind: str
    actor: str
    body: dict[str, Any]
    previous: str
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


_NAMES = {each.name for each in fields(Entry)}


class Ledger:
    """The ledger in a store's database.

    Updates and deletes are refused by triggers. The head (number and hash of the last record) is also kept in
    `<home>/ledger.head`, outside the database.
    """

    def __init__(self, store: RunStore) -> None:
        self._database = store.database
        self._head_file = store.home / HEAD_FILE
        if not self._head_file.exists() and self.head().seq == 0:
            self._keep_head()  # from the start, so that a missing head is never innocent

    def append(self, kind: str, body: Mapping[str, Any], *, actor: str) -> Entry:
        """Write one record; it is on the disk when this returns. Safe between processes and machines.

        Raises:
            TypeError or ValueError: `body` is not JSON, or holds NaN or infinity.
        """
        text = body_text(body)
        for attempt in range(_TRIES):
            try:
                with self._database.writing() as connection:
                    entry = _entry(_insert(connection, kind, text, actor))
                self._keep_head()
                return entry
            except IntegrityError:  # without SQLite's BEGIN IMMEDIATE another writer may take the same number
                time.sleep(random.uniform(0, 0.01 * (attempt + 1)))
        raise TunesmithError(f"the ledger could not be written: {_TRIES} times another writer was first")

    def entries(self, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """The records with a number above `after`, in order, at most `limit`; as stored, not verified.

        A body that is no JSON (somebody changed it) is given as `{"unreadable": text}`.
        """
        query = sa.select(*_COLUMNS).where(LEDGER.c.seq > after).order_by(LEDGER.c.seq).limit(limit)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                yield _entry(Row(row.seq, *row))

    def head(self) -> Head:
        """Number and hash of the last record. Keep it where the ledger's owner cannot change it (see `verify`)."""
        with self._database.reading() as connection:
            return _head(connection)

    def verify(self, *, expect: Head | tuple[int, str] | None = None) -> list[Problem]:
        """Everything that is wrong with the ledger, each problem with the number of its record as `line`.

        Found and placed: records that were altered, removed, inserted, moved, or written as a fork.
        Found only against a head: records cut off the end (a restored old copy, too), and a rewriting of records
        together with all hashes after them. Not found at all: records added at the end in the right form by someone
        who can write to the database, a rewriting of what lies after the head, and lies told when a record was
        written. Whoever can write to both the database and `ledger.head` can rewrite everything; only a head kept
        out of their reach shows it.

        Args:
            expect: a head that was kept elsewhere; None: the one in `ledger.head`.
        """
        # the head first: a record that is appended meanwhile must not make the head newer than the rows
        kept = Head(*expect) if expect is not None else self._kept_head()
        with self._database.reading() as connection:
            stored = connection.execute(sa.select(*_COLUMNS).order_by(LEDGER.c.seq)).all()
        rows = [_sound(Row(row.seq, *row)) for row in stored]
        problems = damage(rows, expect=kept, where="ledger")
        return problems if kept or not rows else [*problems, self._no_head()]

    def export_jsonl(self, path: Path) -> Head:
        """Write all records to `path`, one canonical JSON object a line; returns the head to keep elsewhere."""
        head = Head(0, GENESIS)
        with atomic_file(path) as file:
            for entry in self.entries():
                file.write(canonical_json(entry.as_dict()) + b"\n")
                head = Head(entry.seq, entry.hash)
        return head

    def _keep_head(self) -> None:
        with self._database.lock("ledger-head"):  # so that the file never goes back behind what another wrote
            head = self.head()
            write_json(self._head_file, {"seq": head.seq, "hash": head.hash})

    def _kept_head(self) -> Head | None:
        try:
            kept = json.loads(self._head_file.read_bytes())
            return Head(int(kept["seq"]), str(kept["hash"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _no_head(self) -> Problem:
        message = "the kept head is missing or unreadable, so records cut off the end would not be seen"
        hint = "verify against a head kept elsewhere; the next record that is written makes this file anew"
        return Problem("ledger-head", message, hint, str(self._head_file))


def verify_jsonl(path: Path, *, expect: Head | tuple[int, str] | None = None) -> list[Problem]:
    """What `Ledger.verify` finds, in an exported ledger; needs no database.

    Args:
        path: a file that `Ledger.export_jsonl` wrote.
        expect: the head that the export returned or that was kept elsewhere; without it a cut end is not seen.

    Raises:
        UserError: the file does not exist.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(Problem("missing-file", error.strerror or "unreadable", path=str(path))) from None
    if lines[-1] == b"":
        lines.pop()
    rows = [_row(place, line) for place, line in enumerate(lines, start=1)]
    return damage(rows, expect=None if expect is None else Head(*expect), where=str(path))


def _insert(connection: Connection, kind: str, body: str, actor: str) -> Row:
    seq, previous = _head(connection)
    row = Row(seq + 1, seq + 1, now(), _storable(kind), _storable(actor), body, previous, "")
    row = row._replace(hash=record_hash(row))
    values = row._asdict()
    del values["place"]
    connection.execute(sa.insert(LEDGER).values(values))
    return row


def _head(connection: Connection) -> Head:
    last = connection.execute(sa.select(LEDGER.c.seq, LEDGER.c.hash).order_by(LEDGER.c.seq.desc()).limit(1)).first()
    return Head(0, GENESIS) if last is None else Head(last.seq, last.hash)


def _entry(row: Row) -> Entry:
    texts = {name: str(value) for name, value in row._asdict().items() if name not in ("place", "seq", "body")}
    try:
        body = json.loads(row.body)
    except (TypeError, ValueError, RecursionError):
        body = {"unreadable": str(row.body)}
    return Entry(seq=row.seq, body=body, **texts)


def _row(place: int, line: bytes) -> Row:
    """One line of an export; a line that is not in the form in which it was written fits no hash."""
    try:
        found = json.loads(line)
        if canonical_json(found) == line and found.keys() == _NAMES:
            return _sound(Row(place, **{**found, "body": body_text(found["body"])}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    return Row(place, place, "", "", "", "", "", "")


def _sound(row: Row) -> Row:
    """The row, or where a value has the wrong type one that fits no hash."""
    sound = type(row.seq) is int and all(isinstance(value, str) for value in row[2:])
    return row if sound else Row(row.place, row.place, "", "", "", "", "", "")


def _storable(text: str) -> str:
    """Without NUL and lone surrogates, which databases refuse."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
