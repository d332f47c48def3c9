"""Labelling queues that machines share through a PostgreSQL server.

TUNESMITH_TEST_POSTGRES=postgresql://postgres@127.0.0.1:5432/test python -m pytest -m slow tests/data

Each test works in a schema of its own, which is gone afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from label_desks import at, labelled, queue, store
from sqlalchemy.exc import DBAPIError

from tunesmith.data.label.desk import Desk
from tunesmith.data.label.settle import settle
from tunesmith.records.database import Database
from tunesmith.records.labels import After, Draft, Labels

VARIABLE = "TUNESMITH_TEST_POSTGRES"
TEXTS = [f"text {number}" for number in range(10)]

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgresql: str) -> str:
    """An empty schema of this test."""
    return postgresql


def test_a_queue_of_one_machine_is_labelled_and_settled_on_another(url: str, tmp_path: Path) -> None:
    """Three people say yes to each of ten rows: ten rows are unanimous, wherever one looks."""
    desk = queue(tmp_path / "here", TEXTS, url=url)
    there = Desk(store(tmp_path / "there", url), "q", name="max")
    labelled(there, dict.fromkeys(("ann", "bob", "cyd"), "y" * len(TEXTS)))
    settled = settle(desk.refresh())
    assert [(each.label, each.how) for each in settled] == [("yes", "unanimous")] * len(TEXTS)
    assert not list(tmp_path.rglob("records.db"))


def test_three_machines_label_at_once_and_nothing_is_lost(url: str, tmp_path: Path) -> None:
    """Three people, ten rows that two may answer: twenty labels, two a row, and the events count up without a gap."""
    desk = queue(tmp_path / "here", TEXTS, experts=2, url=url)
    desk.open_round()
    program = (
        "import sys; from pathlib import Path\n"
        "from tunesmith.data.label.desk import Desk; from tunesmith.records.database import Database\n"
        "from tunesmith.core.errors import UserError; from tunesmith.records.labels import Labels\n"
        "desk = Desk(Labels(Database(Path(sys.argv[1]), url=sys.argv[2])), 'q', name=sys.argv[3])\n"
        "while row := desk.next():\n"
        "    try: desk.label(row['row'], 'yes')\n"
        "    except UserError as error: assert error.problems[0].code == 'row-full'\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    commands = [[sys.executable, "-c", program, str(tmp_path / name), url, name] for name in ("ann", "bob", "cyd")]
    assert [one.wait(300) for one in [subprocess.Popen(command, env=env) for command in commands]] == [0, 0, 0]
    desk.close_round()
    assert [len(said) for said in desk.refresh().votes().values()] == [2] * len(TEXTS)
    assert [event.seq for event in desk.labels.events("q")] == list(range(1, len(desk.labels.events("q")) + 1))


def test_who_decides_has_seen_what_others_wrote_meanwhile(url: str, tmp_path: Path) -> None:
    """Another machine writes while this one decides: the decision is made again, with two events before it."""
    here, there = (Labels(Database(tmp_path / name, url=url)) for name in ("here", "there"))
    here.write("q", "p-1", lambda after: [Draft("queue")])
    seen: list[int] = []

    def decide(after: After) -> Sequence[Draft]:
        seen.append(len(after(0)))
        if len(seen) == 1:
            there.write("q", "p-2", lambda _: [Draft("label", "r1")])
        return [Draft("label", "r2")]

    here.write("q", "p-1", decide)
    assert seen == [1, 2]
    assert [(event.seq, event.row) for event in here.events("q")] == [(1, ""), (2, "r1"), (3, "r2")]


@pytest.mark.parametrize("table", ["label_events", "label_rows"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET queue = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_server_refuses_changes(url: str, tmp_path: Path, table: str, statement: str) -> None:
    desk = queue(tmp_path, TEXTS[:1], url=url)
    before = len(desk.labels.events("q"))
    with pytest.raises(DBAPIError, match="append-only"), Database(tmp_path, url=url).writing() as connection:
        connection.exec_driver_sql(statement.format(table))
    assert len(at(desk, "ann").labels.events("q")) == before
