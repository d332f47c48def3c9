"""Sessions: what one `tunesmith run` did, stage by stage, and how it ended."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tunesmith.core.types import GateVerdict, Noun
from tunesmith.records.database import SESSIONS, STAGES, Database


class SessionStage(Noun):
    """One stage of a session.

    Fields:
        stage: its name; `run` the run that answered for it; `artifact` the id of what that run made.
        reused: whether the run was found and not made.
        seconds: wall time that this session spent on it.
        verdicts: the gates' verdicts as JSON values, as this session saw them: a gate that the project file lowered
            says so here, with the reason, though a reused artifact may be older than the lowering.
    """

    stage: str
    run: str
    artifact: str
    reused: bool
    seconds: float
    verdicts: tuple[dict[str, Any], ...] = ()


class SessionRecord(Noun):
    """One `tunesmith run`.

    Fields:
        id: sortable by time of start.
        project: name of the project; `spec_digest`: digest of its filled project file.
        started, ended: UTC, ISO 8601; `ended` is None while it runs, and for ever if it was killed.
        exit_code: the exit code of the process; `outcome`: one word or sentence; both empty until the end.
        stages: the stages in the order they were noted.
    """

    id: str
    project: str
    spec_digest: str
    started: str
    ended: str | None = None
    exit_code: int | None = None
    outcome: str = ""
    stages: tuple[SessionStage, ...] = ()


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
        reused: bool,
        seconds: float,
        verdicts: Sequence[GateVerdict] = (),
    ) -> None:
        """Record that `run` answered for `stage`, with the verdicts as this session sees them."""
        body = json.dumps([verdict.model_dump(mode="json") for verdict in verdicts], allow_nan=False)
        values = {"session": session, "stage": stage, "run": run, "artifact": artifact, "reused": reused}
        with self.database.writing() as connection:
            count = sa.select(sa.func.count()).select_from(STAGES).where(STAGES.c.session == session)
            position = connection.execute(count).scalar_one()
            row = {**values, "position": position, "seconds": seconds, "verdicts": body}
            connection.execute(sa.insert(STAGES).values(row))

    def end(self, session: str, exit_code: int, outcome: str) -> None:
        """Close a session."""
        values = {"ended": now(), "exit_code": exit_code, "outcome": outcome}
        with self.database.writing() as connection:
            connection.execute(sa.update(SESSIONS).where(SESSIONS.c.id == session).values(values))

    def last(self, project: str | None = None) -> SessionRecord | None:
        """The session that was begun last, of one project or of all; None if there is none."""
        found = self._read(_newest(project).limit(1))
        return found[0] if found else None

    def sessions(self, project: str | None = None) -> list[SessionRecord]:
        """The sessions of one project, or all, newest first."""
        return self._read(_newest(project))

    def _read(self, query: sa.Select[Any]) -> list[SessionRecord]:
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
            return [_session(row, _stages(connection, row.id)) for row in rows]


def now(at: datetime | None = None) -> str:
    """A moment (default: this one) as UTC, ISO 8601 with microseconds; sorts by time."""
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds")


def _newest(project: str | None) -> sa.Select[Any]:
    query = sa.select(SESSIONS).order_by(SESSIONS.c.number.desc())
    return query if project is None else query.where(SESSIONS.c.project == project)


def _session(row: Row[Any], stages: tuple[SessionStage, ...]) -> SessionRecord:
    values = {key: value for key, value in row._mapping.items() if key != "number"}
    return SessionRecord(**values, stages=stages)


def _stages(connection: Connection, session: str) -> tuple[SessionStage, ...]:
    rows = connection.execute(sa.select(STAGES).where(STAGES.c.session == session).order_by(STAGES.c.position))
    own = SessionStage.model_fields.keys() - {"verdicts"}
    return tuple(
        SessionStage(**{key: row._mapping[key] for key in own}, verdicts=json.loads(row.verdicts)) for row in rows
    )
