"""What the last run of a project came to, as plain JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Checkpoint, Report, Tokens
from tunesmith.project.file import Project
from tunesmith.project.report import place
from tunesmith.records.sessions import SessionRecord
from tunesmith.records.store import RunStore


def show(project: Project, store: RunStore, *, session_id: str | None = None) -> dict[str, Any]:
    """Gates, measures, targets, stages and the report of one run.

    Args:
        project: the project.
        store: its records.
        session_id: which run; None: the one that was begun last.

    Raises:
        UserError: the project has not been run yet.
    """
    sessions = store.sessions(project.spec.name)
    session = next((s for s in sessions if session_id in (None, s.id)), None)
    if session is None:
        hint = f"tunesmith run {project.root}"
        raise UserError(Problem("not-run", "this project has not been run yet", hint, path=str(project.path)))
    report = last_of(store, session, "evaluate")
    gates = [gate for stage in session.stages for gate in stage.verdicts]
    return {
        "project": project.spec.name,
        "session": session.id,
        "outcome": session.outcome,
        "exit_code": session.exit_code,
        "gates": gates,
        "targets": [dict(t) for t in report.targets] if isinstance(report, Report) else [],
        "measures": [m.model_dump(mode="json") for m in report.measures] if isinstance(report, Report) else [],
        "notes": list(report.notes) if isinstance(report, Report) else [],
        "estimates": _estimates(last_of(store, session, "tokens"), last_of(store, session, "tune")),
        "stages": [
            {"stage": s.stage, "run": s.run, "artifact": s.artifact, "seconds": s.seconds, "reused": s.reused}
            for s in session.stages
        ],
        "seconds": sum(s.seconds for s in session.stages),
        "report": str(_report(project, session, report)) if report is not None else None,
        "folder": str(project.root),
    }


def _estimates(tokens: Any, checkpoint: Any) -> dict[str, dict[str, float | None]]:
    """Memory and time of the training, as predicted by G0 and as measured; None for what is not known (yet)."""
    predicted = tokens.estimate if isinstance(tokens, Tokens) else {}
    measured: dict[str, float] = {}
    if isinstance(checkpoint, Checkpoint):
        minutes = (checkpoint.seconds + checkpoint.preparing_seconds) / 60
        measured = {"memory_gb": checkpoint.peak_memory_gb, "minutes": minutes}
    names = ("memory_gb", "minutes")
    return {name: {"predicted": predicted.get(name), "measured": measured.get(name)} for name in names}


def _report(project: Project, session: SessionRecord, report: Report) -> Path:
    completed = place(project.home, session.id)
    return completed if completed.is_file() else report.file("report.html")


def runs(project: Project, store: RunStore) -> list[dict[str, Any]]:
    """One mapping per run of the line, newest first."""
    return [
        {
            "session": s.id,
            "started": s.started,
            "outcome": s.outcome,
            "exit_code": s.exit_code,
            "stages": [stage.stage for stage in s.stages],
            "made": [stage.stage for stage in s.stages if not stage.reused],
            "gates": {g["gate"]: g["verdict"] for stage in s.stages for g in stage.verdicts},
            "seconds": sum(stage.seconds for stage in s.stages),
        }
        for s in store.sessions(project.spec.name)
    ]


def last_of(store: RunStore, session: SessionRecord, stage: str) -> Any:
    """The artifact that a stage made in a session, opened; None if the session did not reach it."""
    for made in session.stages:
        if made.stage == stage:
            return store.find(made.run)
    return None


def last_made(project: Project, store: RunStore, stage: str) -> Any:
    """The newest artifact of a stage of this project, from whichever run reached it last.

    Raises:
        UserError: no run of this project has reached that stage.
    """
    for session in store.sessions(project.spec.name):
        if (found := last_of(store, session, stage)) is not None:
            return found
    hint = f"tunesmith run {project.root}"
    raise UserError(Problem("not-run", f"no run has reached the stage '{stage}' yet", hint, path=str(project.path)))
