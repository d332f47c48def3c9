"""Rows of a database: one SELECT, read only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example
from tunesmith.data.read.sql import Sql

QUERY = "SELECT id, age, rating FROM loans ORDER BY id"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a database of three loans."""
    with sqlite3.connect(tmp_path / "loans.db") as base:
        base.execute("CREATE TABLE loans (id INTEGER, age INTEGER, rating TEXT)")
        base.executemany("INSERT INTO loans VALUES (?, ?, ?)", [(1, 41, "good"), (2, 23, "bad"), (3, None, "")])
    base.close()
    return tmp_path


def sql(query: str = QUERY, url: str = "sqlite:///loans.db", **more: str) -> Sql:
    settings = {"template": "Age {age}", "answer": "rating", **more}
    return Sql(url, query, **settings)  # type: ignore[arg-type]


def test_rows_become_instructions(root: Path) -> None:
    good, bad, empty = sql(group="id").read(root, ("good", "bad"))
    assert isinstance(good, Example) and isinstance(bad, Example) and isinstance(empty, Drop)
    assert (good.messages[0].content, good.reference, good.place) == ("Age 41", "good", "sqlite:///loans.db:1")
    assert (bad.group, bad.kind, empty.reason) == ("2", "structured", "empty-answer")


def test_the_address_can_stand_in_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="LOANS_URL is not set"):
        list(sql(url="$LOANS_URL").read(root, ()))
    monkeypatch.setenv("LOANS_URL", "sqlite:///loans.db")
    items = list(sql(url="$LOANS_URL").read(root, ()))
    assert items[0].place == "$LOANS_URL:1"


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM loans",
        "SELECT 1; DROP TABLE loans",
        "  -- SELECT\nDROP TABLE loans",
        "PRAGMA writable_schema=1",
        "ATTACH 'x.db' AS x",
        "",
        "WITH x AS (SELECT 1) DELETE FROM loans",
        "WITH x AS (SELECT 1) INSERT INTO loans SELECT 1, 2, 'x'",
    ],
)
def test_nothing_but_one_select_is_run_and_nothing_is_written(root: Path, query: str) -> None:
    before = (root / "loans.db").read_bytes()
    with pytest.raises(UserError) as caught:
        list(sql(query).read(root, ()))
    assert [problem.code for problem in caught.value.problems] in (["wrong-value"], ["broken-query"])
    assert (root / "loans.db").read_bytes() == before
    assert sorted(path.name for path in root.iterdir()) == ["loans.db"]


@pytest.mark.parametrize(
    ("query", "url", "code"),
    [
        ("SELECT * FROM lones", "sqlite:///loans.db", "broken-query"),
        ("SELECT age FROM loans", "sqlite:///loans.db", "missing-column"),
        ("SELECT * FROM loans WHERE id > 9", "sqlite:///loans.db", "empty-file"),
        (QUERY, "sqlite:///loan.db", "missing-file"),
        (QUERY, "sqlite:///../loans.db", "path-outside"),
        (QUERY, "loans.db", "wrong-value"),
        (QUERY, "nobody://x", "wrong-value"),
    ],
)
def test_what_cannot_be_used_is_one_problem(root: Path, query: str, url: str, code: str) -> None:
    assert [problem.code for problem in sql(query, url).check(root)] == [code]


def test_a_semicolon_inside_a_text_is_no_second_statement(root: Path) -> None:
    items = list(sql("SELECT id, age, rating || ';' AS rating FROM loans ORDER BY id;").read(root, ()))
    assert [item.reference for item in items if isinstance(item, Example)] == ["good;", "bad;", ";"]


def test_a_password_is_shown_nowhere() -> None:
    source = sql(url="postgresql+psycopg://ann:secret@127.0.0.1:1/loans")
    assert "secret" not in source._shown() and "ann" not in source._shown()


def test_a_changed_table_changes_the_digest(root: Path) -> None:
    before = sql().digests(root)
    with sqlite3.connect(root / "loans.db") as base:
        base.execute("UPDATE loans SET age = 42 WHERE id = 1")
    base.close()
    assert before.keys() == sql().digests(root).keys()
    assert before != sql().digests(root)
