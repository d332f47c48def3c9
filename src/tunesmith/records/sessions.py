"""Sessions: what one `tunesmith run` did, stage by stage, and how it ended."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from tunesmith.core.types import GateVerdict, Noun
from tunesmith.records.database import SESSIONS, STEPS, Database

_VERDICTS = TypeAdapter(tuple[GateVerdict, ...])


class SessionStep(Noun):
    """One stage of a session: the run that answered for it, whether it was reused, seconds spent, gate verdicts.

    The verdicts are those of this session: a gate that the project file lowered says so here, with the reason,
    though the reused artifact may have been made before it was lowered.
    """

    stage: str
    run: str
    artifact: str
    reused: bool
    seconds: float
    verdicts: tuple[GateVerdict, ...] = ()


class SessionRecord(Noun):
    """One `tunesmith run`.

    Fields:
        id: sortable by time of start.
        project: name of the project; `spec_digest`: digest of its filled project file.
        started, ended: UTC, ISO 8601; `ended` is None while it runs, and for ever if it was killed.
        exit_code: the exit code of the process; `outcome`: one word or sentence; both empty until the end.
        steps: the stages in the order they were noted.
    """

    id: str
    project: str
    spec_digest: str
    started: str
    ended: str | None = None
    exit_code: int | None = None
    outcome: str = ""
    steps: tuple[SessionStep, ...] = ()


class Sessions:
    """The sessions of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, project: str, spec_digest: str) -> str:
        """Start a session; returns its id."""
        at = datetime.now(UTC)
        session = f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        row = {"id": session, "project": project, "spec_digest": spec_digest, "started": now(at)}
        with self.database.writing() as connection:
            connection.execute(sa.insert(SESSIONS).values(row))
        return session

    def note(
        self,
        session: str,
        stage: str,
        run: str,
        artifact: str,
        *,
        reused: bool,
        seconds: float,
        verdicts: Sequence[GateVerdict] = (),
    ) -> None:
        """Record that `run` answered for `stage`, with the verdicts as this session sees them."""
        step = SessionStep(
            stage=stage, run=run, artifact=artifact, reused=reused, seconds=seconds, verdicts=tuple(verdicts)
        )
        values = step.model_dump(exclude={"verdicts"}) | {"verdicts": _VERDICTS.dump_json(step.verdicts).decode()}
        with self.database.writing() as connection:
            count = sa.select(sa.func.count()).select_from(STEPS).where(STEPS.c.session == session)
            position = connection.execute(count).scalar_one()
            connection.execute(sa.insert(STEPS).values(session=session, position=position, **values))

    def end(self, session: str, *, exit_code: int, outcome: str) -> None:
        """Close a session."""
        values = {"ended": now(), "exit_code": exit_code, "outcome": outcome}
        with self.database.writing() as connection:
            connection.execute(sa.update(SESSIONS).where(SESSIONS.c.id == session).values(values))

    def last(self, project: str | None = None) -> SessionRecord | None:
        """The session that was begun last, of one project or of all; None if there is none."""
        query = sa.select(SESSIONS).order_by(SESSIONS.c.number.desc()).limit(1)
        found = self._read(query if project is None else query.where(SESSIONS.c.project == project))
        return found[0] if found else None

    def sessions(self) -> list[SessionRecord]:
        """All sessions, newest first."""
        return self._read(sa.select(SESSIONS).order_by(SESSIONS.c.number.desc()))

    def _read(self, query: sa.Select[Any]) -> list[SessionRecord]:
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
            return [_session(row, _steps(connection, row.id)) for row in rows]


def now(at: datetime | None = None) -> str:
    """A moment (default: this one) as UTC, ISO 8601 with microseconds; sorts by time."""
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds")


def _session(row: Row[Any], steps: tuple[SessionStep, ...]) -> SessionRecord:
    values = {key: value for key, value in row._mapping.items() if key != "number"}
    return SessionRecord(**values, steps=steps)


def _steps(connection: Connection, session: str) -> tuple[SessionStep, ...]:
    rows = connection.execute(sa.select(STEPS).where(STEPS.c.session == session).order_by(STEPS.c.position))
    own = SessionStep.model_fields.keys() - {"verdicts"}
    return tuple(
        SessionStep(**{key: row._mapping[key] for key in own}, verdicts=_VERDICTS.validate_json(row.verdicts))
        for row in rows
    )
