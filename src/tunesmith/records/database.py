"""The one database behind the records: SQLite in the home folder, or PostgreSQL by URL.

Only portable SQL is used, through SQLAlchemy's expression language. SQLite runs with a write-ahead log, foreign
keys, full synchronisation (what was acknowledged survives a power cut) and a busy timeout, and every writing
transaction begins with `BEGIN IMMEDIATE`, so that two processes queue instead of failing. SQLite's log needs a disk of
this machine; a home on a network drive, or one ledger for many machines, calls for PostgreSQL.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.pool import NullPool

from tunesmith.core.errors import MissingLibrary, Problem, UserError

FILE = "records.db"

_BUSY_SECONDS = 30
_METADATA = sa.MetaData()

RUNS = sa.Table(
    "runs",
    _METADATA,
    sa.Column("run", sa.String(80), primary_key=True),
    sa.Column("stage", sa.String(80), nullable=False),
    sa.Column("artifact", sa.String(80), nullable=False),
    sa.Column("ended", sa.String(40), nullable=False, index=True),
)
SESSIONS = sa.Table(
    "sessions",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(80), nullable=False, unique=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("spec_digest", sa.String(80), nullable=False),
    sa.Column("started", sa.String(40), nullable=False),
    sa.Column("ended", sa.String(40)),
    sa.Column("exit_code", sa.Integer),
    sa.Column("outcome", sa.Text, nullable=False, default=""),
)
STAGES = sa.Table(
    "session_stages",
    _METADATA,
    sa.Column("session", sa.String(80), sa.ForeignKey("sessions.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stage", sa.String(80), nullable=False),
    sa.Column("run", sa.String(80), nullable=False),
    sa.Column("artifact", sa.String(80), nullable=False),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("verdicts", sa.Text, nullable=False),
)
LEDGER = sa.Table(
    "ledger",
    _METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)


def append_only(table: sa.Table) -> None:
    """Have the database itself refuse to change or delete rows of `table`, from its creation on."""
    name = table.name
    statements = {
        "sqlite": [
            f"CREATE TRIGGER {name}_no_{verb} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, 'the {name} is append-only'); END"
            for verb in ("update", "delete")
        ],
        "postgresql": [
            f"CREATE FUNCTION {name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'the {name} is append-only'; END $$",
            f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}_refuse()",
        ],
    }

    def guard(_: sa.Table, connection: Connection, **__: Any) -> None:
        for statement in statements.get(connection.dialect.name, []):
            connection.exec_driver_sql(statement)

    sa.event.listen(table, "after_create", guard)


append_only(LEDGER)


class Database:
    """Opens the records' database and makes its tables.

    Args:
        home: the folder of the records; made if absent. Locks lie in `<home>/locks`.
        url: SQLAlchemy URL of a PostgreSQL (or other) database; None: `<home>/records.db`.

    Raises:
        UserError: the home cannot be written to, the URL is not one, the database cannot be reached, or the file is
            not a database.
        MissingLibrary: the driver that the URL needs is not installed.
    """

    def __init__(self, home: Path, *, url: str | None = None) -> None:
        self.home = home
        self._url = _address(home, url)
        self.engine = self._open()
        try:
            (home / "locks").mkdir(parents=True, exist_ok=True)
            self.make_tables(_METADATA)
        except OSError as error:
            message = f"records cannot be kept here: {error.strerror or error}"
            raise UserError(
                Problem("unwritable-home", message, "choose a folder you can write to", str(home))
            ) from None

    def lock(self, name: str) -> FileLock:
        """A lock between processes (and threads) of this machine; the system frees it when its holder dies."""
        return FileLock(self.home / "locks" / f"{name}.lock")

    def make_tables(self, tables: sa.MetaData) -> None:
        """Make those of `tables` that are not there yet."""
        with self._explained(), self.lock("database"):
            if self.engine.dialect.name == "sqlite":
                with self.engine.connect() as connection:
                    connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
            for last in (False, True):
                try:
                    with self.engine.execution_options(writing=True).begin() as connection:
                        tables.create_all(connection)
                    return
                except (IntegrityError, ProgrammingError):  # another machine was making the same tables
                    if last:
                        raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries."""
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that holds the write lock from its start; committed when the block ends well."""
        engine = self.engine.execution_options(writing=True)
        with self._explained(), engine.begin() as connection:
            yield connection

    def _open(self) -> Engine:
        try:
            engine = sa.create_engine(self._url, poolclass=NullPool)
        except NoSuchModuleError:
            message = f"there is no database driver for '{self._url.drivername}'"
            raise UserError(Problem("bad-database-url", message, "write postgresql://USER@HOST/NAME")) from None
        except ModuleNotFoundError as error:
            message = f"'{self._url.drivername}' needs the library '{error.name}', which is not installed"
            postgresql = self._url.get_backend_name() == "postgresql"
            hint = "pip install " + ("'tunesmith[postgresql]'" if postgresql else str(error.name))
            raise MissingLibrary(Problem("needs-library", message, hint)) from None
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the user can mend (unreachable, locked, not a database) into a problem."""
        place = self._url.render_as_string(hide_password=True)
        try:
            yield
        except OperationalError as error:
            hint = "start the database, check the address, or wait until no other process holds it"
            raise UserError(Problem("database-unreachable", _cause(error), hint, place)) from None
        except DatabaseError as error:
            if type(error) is not DatabaseError:  # programming and integrity errors are ours
                raise
            hint = "restore the file from a backup, or move it away to begin new records"
            raise UserError(Problem("broken-database", _cause(error), hint, place)) from None


def _address(home: Path, url: str | None) -> URL:
    if url is None:
        return URL.create("sqlite", database=str(home / FILE))
    try:
        parsed = make_url(url)
    except ArgumentError:
        message = "this is not a database address"
        raise UserError(Problem("bad-database-url", message, "write postgresql://USER@HOST/NAME")) from None
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` event below sends BEGIN, not the driver
    # a damaged record must reach whoever verifies it, and not stop every reader
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _cause(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
