"""The same records on PostgreSQL. Give a database that may be written to, e.g.

TUNESMITH_TEST_POSTGRES=postgresql://postgres@127.0.0.1:5432/test python -m pytest tests/records
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tunesmith.core.errors import MissingLibrary, UserError
from tunesmith.core.types import Artifact, GateVerdict, Snapshot
from tunesmith.records.database import LEDGER
from tunesmith.records.ledger import Ledger
from tunesmith.records.store import RunStore


@pytest.fixture
def url(postgresql: str) -> str:
    """An empty schema of this test."""
    return postgresql


def work(out: Path) -> Artifact:
    (out / "rows").write_text("rows")
    return Snapshot(rows_in=1, kept=1)


def test_runs_and_sessions(url: str, tmp_path: Path) -> None:
    store = RunStore(tmp_path, url=url)
    made = store.make("run-1", "data", inputs=[], spec={}, code={}, work=work)
    session = store.begin("coding", "d")
    verdict = GateVerdict.of("G1", [])
    store.note(session, "data", "run-1", made.id, reused=False, seconds=0.5, verdicts=[verdict])
    store.end(session, exit_code=0, outcome="passed")
    again = RunStore(tmp_path, url=url)
    assert again.find("run-1") == made
    last = again.last("coding")
    assert last is not None
    assert (last.id, last.stages[0].verdicts) == (session, (verdict.model_dump(mode="json"),))
    assert not (tmp_path / "records.db").exists()


def test_runs_of_another_machine_are_not_taken_for_ours(url: str, tmp_path: Path) -> None:
    here, there = RunStore(tmp_path / "here", url=url), RunStore(tmp_path / "there", url=url)
    here.make("run-1", "data", inputs=[], spec={}, code={}, work=work)
    assert there.find("run-1") is None
    assert there.runs() == []
    there.make("run-1", "data", inputs=[], spec={}, code={}, work=work)
    assert here.find("run-1") is not None


def test_two_machines_write_one_chain(url: str, tmp_path: Path) -> None:
    """Two homes that make the tables and then 20 records each at once: 40 records, no gap, no fork."""
    program = (
        "import sys; from pathlib import Path\n"
        "from tunesmith.records.ledger import Ledger; from tunesmith.records.store import RunStore\n"
        "ledger = Ledger(RunStore(Path(sys.argv[1]), url=sys.argv[2]))\n"
        "for n in range(20): ledger.append('run', {'n': n, 'odd': '\\0\\ud800'}, actor=sys.argv[1])\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    homes = [str(tmp_path / name) for name in "ab"]
    writers = [subprocess.Popen([sys.executable, "-c", program, home, url], env=env) for home in homes]
    assert [writer.wait() for writer in writers] == [0, 0]
    ledgers = [Ledger(RunStore(Path(home), url=url)) for home in homes]
    assert [ledger.verify() for ledger in ledgers] == [[], []]
    assert [entry.seq for entry in ledgers[0].entries()] == list(range(1, 41))


@pytest.mark.parametrize("statement", ["UPDATE ledger SET actor = 'eve'", "DELETE FROM ledger", "TRUNCATE ledger"])
def test_the_ledger_refuses_changes_and_names_them_where_forced(url: str, tmp_path: Path, statement: str) -> None:
    store = RunStore(tmp_path, url=url)
    for number in range(3):
        Ledger(store).append("run", {"n": number}, actor="ann")
    with pytest.raises(DBAPIError, match="append-only"), store.database.writing() as connection:
        connection.exec_driver_sql(statement)
    assert Ledger(store).verify() == []
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger DISABLE TRIGGER ALL")
        connection.execute(sa.update(LEDGER).where(LEDGER.c.seq == 2).values(actor="eve"))
    assert [(problem.code, problem.line) for problem in Ledger(store).verify()] == [("ledger-altered", 2)]


def test_an_unreachable_server_is_a_problem_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the driver: pip install 'tunesmith[postgresql]'", exc_type=ImportError)
    with pytest.raises(UserError) as caught:
        RunStore(tmp_path, url="postgresql://ann:hunter2@127.0.0.1:1/none")
    assert caught.value.problems[0].code == "database-unreachable"
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_told_with_its_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingLibrary) as caught:
        RunStore(tmp_path, url="postgresql://ann@127.0.0.1:1/none")
    assert "tunesmith[postgresql]" in caught.value.problems[0].hint
