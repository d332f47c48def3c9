"""Sessions: what one `tunesmith run` did, with the verdicts as that session saw them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from tunesmith.core.types import GateVerdict, Reason
from tunesmith.records.store import RunStore

LEAK = Reason(code="train-test-leak", message="34 of 480 test rows", verdict="failed", evidence={"rows": ["ex-1"]})


def test_a_session_tells_its_stages_in_order(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    session = store.begin("coding", "d1")
    lowered = GateVerdict.of("G1", [LEAK]).model_copy(update={"lowered": "pilot, see ticket 7"})
    store.note(session, "data", "run-1", "snap-1", reused=True, seconds=0.25, verdicts=[lowered])
    store.note(session, "tokens", "run-2", "tok-1", reused=False, seconds=2.5)
    store.end(session, exit_code=3, outcome="stopped by G2")
    last = RunStore(tmp_path).last()
    assert last is not None
    assert (last.id, last.project, last.spec_digest) == (session, "coding", "d1")
    assert (last.exit_code, last.outcome) == (3, "stopped by G2")
    assert last.ended is not None
    assert last.started < last.ended
    assert [(s.stage, s.run, s.artifact, s.reused, s.seconds) for s in last.stages] == [
        ("data", "run-1", "snap-1", True, 0.25),
        ("tokens", "run-2", "tok-1", False, 2.5),
    ]
    assert last.stages[0].verdicts == (lowered.model_dump(mode="json"),)


def test_the_same_run_can_be_noted_by_many_sessions_with_other_verdicts(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    strict = GateVerdict.of("G1", [LEAK])
    for verdict in (strict, strict.model_copy(update={"lowered": "pilot"})):
        session = store.begin("coding", "d1")
        store.note(session, "data", "run-1", "snap-1", reused=True, seconds=0.0, verdicts=[verdict])
    lowered, before = store.sessions()
    assert before.stages[0].verdicts[0]["lowered"] is None
    assert lowered.stages[0].verdicts[0]["lowered"] == "pilot"


def test_sessions_come_newest_first_and_last_can_be_asked_of_one_project(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    ids = [store.begin(project, "d") for project in ("a", "b", "a", "b", "c")]
    assert [session.id for session in store.sessions()] == ids[::-1]
    found = [store.last("a"), store.last("b"), store.last()]
    assert [session.id for session in found if session] == [ids[2], ids[3], ids[4]]
    assert [session.id for session in store.sessions("a")] == [ids[2], ids[0]]
    assert store.last("never") is None
    assert store.sessions("never") == []


def test_no_session_at_all(tmp_path: Path) -> None:
    assert RunStore(tmp_path).last() is None
    assert RunStore(tmp_path).sessions() == []


def test_a_killed_session_has_no_end(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin("coding", "d")
    last = RunStore(tmp_path).last()
    assert last is not None
    assert (last.ended, last.exit_code, last.outcome) == (None, None, "")


def test_a_stage_of_no_session_is_refused(tmp_path: Path) -> None:
    """Foreign keys are on: SQLite leaves them off unless it is told."""
    with pytest.raises(IntegrityError):
        RunStore(tmp_path).note("never-begun", "data", "run-1", "snap-1", reused=False, seconds=1.0)
