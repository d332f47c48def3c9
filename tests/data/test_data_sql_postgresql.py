"""Rows of a real PostgreSQL server.

TUNESMITH_TEST_POSTGRES=postgresql://postgres@127.0.0.1:5432/test python -m pytest -m slow tests/data

Each test works in a schema of its own, which is gone afterwards.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example
from tunesmith.data.read.sql import Sql

VARIABLE = "TUNESMITH_TEST_POSTGRES"
ROWS = 5_000

pytestmark = pytest.mark.slow


@pytest.fixture
def base(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """A database with loans in a schema of this test; its address stands in LOANS_URL."""
    within = sa.make_url(postgresql)
    engine = sa.create_engine(within.set(drivername="postgresql+psycopg"), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE loans AS SELECT i AS id, 20 + i %% 60 AS age, i * 1.25 AS amount, "
            "DATE '2026-01-01' AS opened, "
            "CASE WHEN i %% 5 = 0 THEN 'bad' ELSE 'good' END AS rating, '人' || i AS who "
            f"FROM generate_series(1, {ROWS}) i"
        )
    monkeypatch.setenv("LOANS_URL", postgresql)
    return engine


def sql(query: str = "SELECT * FROM loans ORDER BY id", template: str = "Age {age}, {amount} since {opened}") -> Sql:
    return Sql("$LOANS_URL", query, template=template, answer="rating", group="who")


def test_every_row_is_read_in_order_with_its_types(base: sa.Engine, tmp_path: Path) -> None:
    """Row 5: age 25, 6.25, the fifth is bad; numbers and dates as PostgreSQL writes them."""
    assert sql().check(tmp_path) == []
    items = list(sql().read(tmp_path, ("good", "bad")))
    assert len(items) == ROWS and not any(isinstance(item, Drop) for item in items)
    fifth = items[4]
    assert isinstance(fifth, Example)
    assert (fifth.messages[0].content, fifth.reference) == ("Age 25, 6.25 since 2026-01-01", "bad")
    assert (fifth.group, fifth.place) == ("人5", "$LOANS_URL:5")


def test_a_percent_sign_is_no_placeholder(base: sa.Engine, tmp_path: Path) -> None:
    """Of 5,000 ids 2,500 are even, and every rating has a `d`."""
    query = "SELECT * FROM loans WHERE rating LIKE '%d' AND id % 2 = 0 AND who NOT LIKE ':id' ORDER BY id"
    assert len(list(sql(query).read(tmp_path, ()))) == ROWS // 2


def test_nothing_can_be_written(base: sa.Engine, tmp_path: Path) -> None:
    """A SELECT whose function writes is stopped by the read-only transaction, a WITH that deletes by the cursor."""
    with base.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION wipe() RETURNS TABLE (age int, amount int, opened int, rating text, who text) AS "
            "$$ DELETE FROM loans RETURNING 1, 1, 1, 'good', 'x' $$ LANGUAGE sql"
        )
    refused = {
        "SELECT * FROM wipe()": "read-only transaction",
        "WITH gone AS (DELETE FROM loans RETURNING *) SELECT * FROM gone": "data-modifying",
    }
    for query, why in refused.items():
        with pytest.raises(UserError, match=why):
            list(sql(query).read(tmp_path, ()))
    with base.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM loans").scalar_one() == ROWS


def test_what_the_server_says_is_told_without_the_password(base: sa.Engine, tmp_path: Path) -> None:
    (problem,) = sql("SELECT * FROM lones").check(tmp_path)
    assert (problem.code, problem.path) == ("broken-query", "$LOANS_URL") and "lones" in problem.message
    (problem,) = sql(template="Age {aeg}").check(tmp_path)
    assert problem.code == "missing-column" and "age" in problem.hint
    nobody = Sql("postgresql://ann:secret@127.0.0.1:1/loans", "SELECT 1", template="a", answer="b")
    (problem,) = nobody.check(tmp_path)
    assert problem.code == "broken-query" and "secret" not in f"{problem}"


def test_a_changed_row_changes_the_digest(base: sa.Engine, tmp_path: Path) -> None:
    before = sql().digests(tmp_path)
    with base.begin() as connection:
        connection.exec_driver_sql("UPDATE loans SET age = 42 WHERE id = 17")
    assert before.keys() == sql().digests(tmp_path).keys()
    assert before != sql().digests(tmp_path)
