"""Rows of a database as instructions, through templates."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem, UserError, shorten
from tunesmith.core.types import DataKind, Drop, Example, Split
from tunesmith.data.read._csv import Record
from tunesmith.data.read._files import locate
from tunesmith.data.read._labels import held_to
from tunesmith.data.read._parts import WHOLE, Divided, Part
from tunesmith.data.read._template import as_text
from tunesmith.data.read.table import Table

_SELECT = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_COMMENT_OR_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"", re.DOTALL)
_PEEKED_ROWS = 100
_ROWS_A_FETCH = 1000


@dataclass(frozen=True)
class Sql(Divided):
    """Rows of one SELECT on a database become instructions through templates; nothing is ever written to it.

    Give the query an ORDER BY: a database may give rows in another order each time, and the order of rows decides which
    copy stays and how splits are dealt.

    Example:
        {use: sql, url: $LOANS_URL, query: "SELECT * FROM loans ORDER BY id", template: "Amount {amount}.",
         answer: rating}

    Args:
        url: address of the database as SQLAlchemy writes it (`sqlite:///loans.db`, `postgresql://...`), or
            `$NAME`: the environment variable that holds it. A password does not belong into a project file. A relative
            SQLite file lies inside the project folder.
        query: one SELECT.
        template: the user's message, with `{column}` places; `{{` and `}}` are braces.
        answer: the assistant's message: a column, or a template.
        target: the short reference that metrics compare with: a column or a template; None: the answer is.
        system: the system message (a template); None: there is none.
        group: column or template; rows with the same value stay in one split.
        attributes: columns that the model does not see and results are sliced by, e.g. protected groups.
        split: the split that these rows belong to; None: the splitter decides.
        kind: how structured the rows are, for the mix and the datasheet.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
    """

    url: str
    query: str
    template: str
    answer: str
    target: str | None = None
    system: str | None = None
    group: str | None = None
    attributes: tuple[str, ...] = ()
    split: Split | None = None
    kind: DataKind = "structured"
    licence: str = ""
    consent: str = ""

    def parts(self, root: Path) -> list[Part]:
        """A query is one part."""
        return [WHOLE]

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """Every row."""
        table = self._table()
        for record in self._records(root):
            notes["format: sql rows"] += 1
            made = table.made(record)
            yield held_to(made, labels) if isinstance(made, Example) else made

    def digests(self, root: Path) -> dict[str, str]:
        """What the query gives -> SHA-256 of all its rows: a changed table makes a new run."""
        sha = hashlib.sha256()
        for record in self._records(root):
            sha.update(repr([(name, as_text(value)) for name, value in record.row.items()]).encode("utf-8", "replace"))
        return {self._shown(): sha.hexdigest()}

    def check(self, root: Path) -> list[Problem]:
        """A query that is not one SELECT; a database or a column that is not there; no rows."""
        plain = _COMMENT_OR_TEXT.sub(" ", self.query).strip().removesuffix(";")
        if not _SELECT.match(plain) or ";" in plain:
            hint = "SELECT ... FROM ... ORDER BY ..."
            return [Problem("wrong-value", "one SELECT is expected", hint, "query", value=shorten(self.query))]
        try:
            first = list(islice(self._records(root), _PEEKED_ROWS))
            problems = self._table().missing(first[0].row) if first else []
        except UserError as error:
            return list(error.problems)
        if not first:
            return [Problem("empty-file", "the query gives no rows", "look at its WHERE", self._shown())]
        return problems

    def _table(self) -> Table:
        """The templates are those of `table`."""
        return Table(
            path=self._shown(),
            template=self.template,
            answer=self.answer,
            target=self.target,
            system=self.system,
            group=self.group,
            attributes=self.attributes,
            split=self.split,
            kind=self.kind,
            licence=self.licence,
        )

    def _shown(self) -> str:
        """The database without its password; as it is written where a variable holds it."""
        return self.url if self.url.startswith("$") else re.sub(r"//[^@/]*@", "//", self.url)

    def _records(self, root: Path) -> Iterator[Record]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._connected(root) as connection, connection.begin():
                plain = {"stream_results": True, "no_parameters": True}  # a `%` in the query is a `%`
                found = connection.execution_options(yield_per=_ROWS_A_FETCH, **plain)
                with found.exec_driver_sql(self.query) as rows:  # closed also where only the first ones are wanted
                    for number, row in enumerate(rows.mappings(), start=1):
                        yield Record(f"{self._shown()}:{number}", dict(row))
        except SQLAlchemyError as error:
            said = shorten(str(getattr(error, "orig", None) or error), width=160)
            raise UserError(Problem("broken-query", f"the database says: {said}", "", self._shown())) from None

    @contextmanager
    def _connected(self, root: Path) -> Iterator[Any]:
        """A connection that cannot write: SQLite opens the file so, PostgreSQL begins the transaction so."""
        import sqlalchemy as sa
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        try:
            url = sa.make_url(self._address())
            if url.get_backend_name() == "sqlite":
                file = locate(root, url.database or "")
                url = url.set(database=f"file:{file.absolute().as_posix()}", query={"mode": "ro", "uri": "true"})
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")  # the driver that the extra brings
            engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        except (ArgumentError, NoSuchModuleError, ValueError):
            hint = "sqlite:///FILE, postgresql://USER@HOST/NAME, or $NAME of an environment variable"
            raise UserError(Problem("wrong-value", "this is no address of a database", hint, "url")) from None
        except ModuleNotFoundError as error:
            what = f"this database needs the library '{error.name}', which is not installed"
            package = "'tunesmith[postgresql]'" if error.name == "psycopg" else error.name
            raise MissingLibrary(Problem("needs-library", what, f"pip install {package}", "url")) from None
        try:
            with engine.connect() as connection:
                readonly = {"postgresql_readonly": True} if url.get_backend_name() == "postgresql" else {}
                yield connection.execution_options(**readonly)
        finally:
            engine.dispose()

    def _address(self) -> str:
        if not self.url.startswith("$"):
            return self.url
        found = os.environ.get(self.url[1:].strip("{}"), "")
        if not found:
            message = f"the environment variable {self.url[1:]} is not set"
            raise UserError(Problem("missing-variable", message, "export it before the run", "url"))
        return found
