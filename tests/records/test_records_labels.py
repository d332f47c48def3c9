"""Labels in the database: only ever added, whole under several processes and under `kill -9`."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tunesmith.core.errors import Problem, UserError
from tunesmith.records.database import Database
from tunesmith.records.labels import EVENTS, ROWS, After, Draft, Labels

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")


def write(labels: Labels, *drafts: Draft, person: str = "p-1") -> list[int]:
    return [event.seq for event in labels.write("q", person, lambda after: list(drafts))]


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    labels = Labels(Database(tmp_path))
    body = {"label": "yes \ud800 \x00 三", "round": 1}
    assert write(labels, Draft("queue"), Draft("label", "r1", body), Draft("skip", "r2", person="p-2")) == [1, 2, 3]
    again = Labels(Database(tmp_path)).events("q", after=1)
    assert [(e.seq, e.kind, e.person, e.row, e.body) for e in again] == [
        (2, "label", "p-1", "r1", body),
        (3, "skip", "p-2", "r2", {}),
    ]
    assert labels.events("other") == [] and labels.queues() == ["q"]


def test_rows_stand_in_their_order_with_the_first_event(tmp_path: Path) -> None:
    labels = Labels(Database(tmp_path))
    rows = {name: {"text": name} for name in ("b", "a", "c")}
    labels.write("q", "p-1", lambda after: [Draft("queue")], rows=rows)
    assert list(labels.rows("q").items()) == list(rows.items())


@pytest.mark.parametrize("table", [EVENTS, ROWS])
def test_the_database_itself_refuses_changes(tmp_path: Path, table: sa.Table) -> None:
    database = Database(tmp_path)
    labels = Labels(database)
    labels.write("q", "p-1", lambda after: [Draft("queue")], rows={"a": {}})
    for statement in (sa.update(table).values(queue="x"), sa.delete(table)):
        with pytest.raises(DBAPIError, match="append-only"), database.engine.begin() as connection:
            connection.execute(statement)
    assert len(labels.events("q")) == 1 and len(labels.rows("q")) == 1


def test_what_a_decision_raises_leaves_nothing(tmp_path: Path) -> None:
    labels = Labels(Database(tmp_path))

    def refuse(after: After) -> Sequence[Draft]:
        raise UserError(Problem("no", "no"))

    with pytest.raises(UserError):
        labels.write("q", "p-1", refuse, rows={"a": {}})
    assert labels.events("q") == [] and labels.rows("q") == {}


def test_a_person_has_one_id_a_queue_that_says_nothing_of_the_name(tmp_path: Path) -> None:
    labels = Labels(Database(tmp_path))
    first = labels.person("q", "Ann Example")
    assert first == labels.person("q", "Ann Example") != labels.person("other", "Ann Example")
    assert first.startswith("p-") and len(first) == 10
    assert labels.names("q") == {first: "Ann Example"}


@needs_fork
def test_two_processes_never_pass_a_limit_that_both_look_at(tmp_path: Path) -> None:
    """Each of 3 processes labels each of 10 rows unless two answers stand there: every row ends with exactly two."""
    Labels(Database(tmp_path))

    def one(person: str) -> None:
        labels = Labels(Database(tmp_path))
        for row in map(str, range(10)):

            def decide(after: After, row: str = row) -> Sequence[Draft]:
                given = [event for event in after(0) if event.row == row]
                return [Draft("label", row, {"by": person})] if len(given) < 2 else []

            labels.write("q", person, decide)

    children = []
    for person in ("p-1", "p-2", "p-3"):
        child = os.fork()
        if child == 0:
            try:
                one(person)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    events = Labels(Database(tmp_path)).events("q")
    assert [event.seq for event in events] == list(range(1, 21))
    assert all(sum(event.row == str(n) for event in events) == 2 for n in range(10))


@needs_fork
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A child labels without end and says each number once it is written; killed after the fifth, all five stand.

    Pairs are written together, and no half of a pair is ever there.
    """
    Labels(Database(tmp_path))
    for _ in range(3):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            labels = Labels(Database(tmp_path))
            while True:
                first, _ = write(labels, Draft("label", "a"), Draft("label", "b"))
                os.write(writing, f"{first}\n".encode())
        os.close(writing)
        with os.fdopen(reading) as told:
            acknowledged = [int(told.readline()) for _ in range(5)]
            os.kill(child, signal.SIGKILL)
            acknowledged += [int(line) for line in told if line.endswith("\n")]
        os.waitpid(child, 0)
        events = Labels(Database(tmp_path)).events("q")
        assert {event.seq for event in events} >= {*acknowledged, *(n + 1 for n in acknowledged)}
        assert [event.row for event in events] == ["a", "b"] * (len(events) // 2)
        write(Labels(Database(tmp_path)), Draft("label", "a"), Draft("label", "b"))  # and it goes on
