"""Labels that people gave, as events that are only ever added: nothing that was said is overwritten.

What a queue looks like now follows from its events in their order (`tunesmith.data.label.board` knows how). People
appear in events under ids; their names stand in a table of their own.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import TunesmithError
from tunesmith.records.chain import body_text
from tunesmith.records.database import Database, append_only
from tunesmith.records.sessions import now

_TRIES = 60
_TABLES = sa.MetaData()

EVENTS = sa.Table(
    "label_events",
    _TABLES,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("queue", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("person", sa.String(20), nullable=False),
    sa.Column("row", sa.String(80), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("label_events_of_queue", "queue", "seq"),
)
ROWS = sa.Table(
    "label_rows",
    _TABLES,
    sa.Column("queue", sa.String(80), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("row", sa.String(80), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("queue", "row"),
)
PEOPLE = sa.Table(
    "label_people",
    _TABLES,
    sa.Column("queue", sa.String(80), primary_key=True),
    sa.Column("person", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.UniqueConstraint("queue", "name"),
)
append_only(EVENTS)
append_only(ROWS)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is to be written.

    Args:
        kind: `queue`, `member`, `open`, `close`, `label`, `skip`, `undo`, `decide`, `rule`, `model`, `flag`.
        row: which row it is about; empty for the queue as a whole.
        body: JSON values.
        person: who is spoken for where that is not the writer (labels that are brought from elsewhere).
    """

    kind: str
    row: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    person: str = ""


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """An event as it was written: `seq` counts up over all queues, `at` is UTC, ISO 8601, by the writer's clock."""

    seq: int
    at: str
    kind: str
    person: str
    row: str
    body: dict[str, Any]


After = Callable[[int], list[LabelEvent]]
"""The events of a queue with a number above the given one, as they stand inside the transaction."""


class Labels:
    """The labels in a store's database. Rows and events cannot be changed: triggers refuse it.

    Args:
        database: the records' database; the tables are made there if they are absent.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.make_tables(_TABLES)

    def queues(self) -> list[str]:
        """The names of all queues, oldest first."""
        query = sa.select(EVENTS.c.queue).where(EVENTS.c.kind == "queue").order_by(EVENTS.c.seq)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def rows(self, queue: str) -> dict[str, dict[str, Any]]:
        """Row id -> its content, in the queue's order."""
        query = sa.select(ROWS.c.row, ROWS.c.body).where(ROWS.c.queue == queue).order_by(ROWS.c.position)
        with self._database.reading() as connection:
            return {row.row: json.loads(row.body) for row in connection.execute(query)}

    def events(self, queue: str, *, after: int = 0) -> list[LabelEvent]:
        """The events of a queue with a number above `after`, in order."""
        with self._database.reading() as connection:
            return _after(connection, queue, after)

    def names(self, queue: str) -> dict[str, str]:
        """Person id -> name."""
        query = sa.select(PEOPLE.c.person, PEOPLE.c.name).where(PEOPLE.c.queue == queue)
        with self._database.reading() as connection:
            return {row.person: row.name for row in connection.execute(query)}

    def person(self, queue: str, name: str) -> str:
        """The id of `name` in a queue, given out at random the first time; it says nothing about the person."""
        query = sa.select(PEOPLE.c.person).where(PEOPLE.c.queue == queue, PEOPLE.c.name == name)
        for _ in range(_TRIES):
            with self._database.reading() as connection:
                known = connection.execute(query).scalar()
            if known is not None:
                return str(known)
            try:
                with self._database.writing() as connection:
                    made = {"queue": queue, "person": f"p-{secrets.token_hex(4)}", "name": name}
                    connection.execute(sa.insert(PEOPLE).values(made))
            except IntegrityError:  # somebody else has just entered the same name
                continue
        raise TunesmithError(f"no id could be given to a person: {_TRIES} times another writer was first")

    def write(
        self,
        queue: str,
        person: str,
        decide: Callable[[After], Sequence[Draft]],
        *,
        rows: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[LabelEvent]:
        """Write the events that `decide` wants, all or none; they are on the disk when this returns.

        `decide` sees everything that was written before its events, and may look at what was written meanwhile; what it
        raises passes through and leaves nothing behind. It is called again where another machine was quicker.

        Args:
            queue: which queue.
            person: id of who writes.
            decide: gives the events to write.
            rows: rows of a new queue, written with its first event.
        """
        for attempt in range(_TRIES):
            try:
                with self._database.writing() as connection:
                    # Looked up before `decide` looks: what comes between takes the number, and all is done again.
                    last = connection.execute(sa.select(sa.func.max(EVENTS.c.seq))).scalar() or 0
                    drafts = decide(lambda after: _after(connection, queue, after))
                    if rows:
                        connection.execute(sa.insert(ROWS), _stored_rows(queue, rows))
                    return _insert(connection, queue, person, drafts, last=last)
            except IntegrityError:  # without SQLite's BEGIN IMMEDIATE another writer may take the same number
                time.sleep(random.uniform(0, 0.01 * (attempt + 1)))
        raise TunesmithError(f"labels could not be written: {_TRIES} times another writer was first")


def _insert(connection: Connection, queue: str, person: str, drafts: Sequence[Draft], *, last: int) -> list[LabelEvent]:
    at = now()
    stored: list[dict[str, Any]] = [
        {
            "seq": seq,
            "at": at,
            "queue": queue,
            "kind": draft.kind,
            "person": draft.person or person,
            "row": draft.row,
            "body": body_text(draft.body),
        }
        for seq, draft in enumerate(drafts, start=last + 1)
    ]
    if stored:
        connection.execute(sa.insert(EVENTS), stored)
    return [LabelEvent(s["seq"], at, s["kind"], s["person"], s["row"], json.loads(s["body"])) for s in stored]


def _stored_rows(queue: str, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"queue": queue, "position": place, "row": row, "body": body_text(body)}
        for place, (row, body) in enumerate(rows.items())
    ]


def _after(connection: Connection, queue: str, after: int) -> list[LabelEvent]:
    query = sa.select(EVENTS).where(EVENTS.c.queue == queue, EVENTS.c.seq > after).order_by(EVENTS.c.seq)
    return [_event(row) for row in connection.execute(query)]


def _event(row: Row[Any]) -> LabelEvent:
    return LabelEvent(row.seq, row.at, row.kind, row.person, row.row, json.loads(row.body))
