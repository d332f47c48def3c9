"""`kill -9` at every write-relevant call of `make` and `append`: whole or absent afterwards, never half."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tunesmith.core.types import Artifact, Snapshot
from tunesmith.records.database import Database
from tunesmith.records.ledger import Ledger
from tunesmith.records.store import RunStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")


def work(out: Path) -> Artifact:
    (out / "one").write_text("1" * 1000)
    (out / "two").write_text("2" * 1000)
    return Snapshot(rows_in=2, kept=2)


def make(store: RunStore, doing: Callable[[Path], Artifact] = work) -> Artifact:
    return store.make("run-1", "data", inputs=[], spec={}, code={}, work=doing)


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a child process; its exit status as `os.waitpid` gives it."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """SIGKILL this process right before its `call`-th sync, rename or database transaction."""
    seen = 0

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal seen
            seen += 1
            if seen == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return wrapped

    with (
        mock.patch.object(os, "fsync", counting(os.fsync)),
        mock.patch.object(Path, "rename", counting(Path.rename)),
        mock.patch.object(Path, "replace", counting(Path.replace)),
        mock.patch.object(Database, "writing", counting(Database.writing)),
        mock.patch.object(Database, "reading", counting(Database.reading)),
    ):
        yield


def kill_points(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` in a child again and again, killed at its 1st, 2nd, ... call, until one child gets through."""
    for call in range(1, 100):

        def attempt(call: int = call) -> None:
            with killed_at(call):
                action()

        status = in_child(attempt)
        if status == 0:
            return
        assert os.WIFSIGNALED(status), f"the child failed by itself at call {call}"
        yield call
    raise AssertionError("no child ever got through")


def test_make_killed_at_every_call_leaves_all_or_nothing(tmp_path: Path) -> None:
    """At least: 2 files, their folder, the record (sync + rename + folder), the rename, its folder, the index."""
    points = 0
    homes = (tmp_path / str(n) for n in range(100))
    home = next(homes)
    RunStore(home)

    def act() -> None:
        make(RunStore(home))

    for _ in kill_points(act):
        points += 1
        store = RunStore(home)
        found = store.find("run-1")
        if found is not None:
            assert store.verify("run-1") == found
        again = make(store)
        assert store.verify("run-1") == again
        assert found in (None, again)
        assert [path.name for path in (home / "runs" / "data").iterdir()] == ["run-1"]
        assert [record.run for record in store.runs()] == ["run-1"]
        home = next(homes)
        RunStore(home)
    assert points >= 9


def test_make_killed_in_the_middle_of_the_work_keeps_the_scratch(tmp_path: Path) -> None:
    def dying(out: Path) -> Artifact:
        (out / "one").write_text("1")
        (RunStore(tmp_path).scratch("run-1") / "step-3").write_text("3")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    assert os.WIFSIGNALED(in_child(lambda: make(RunStore(tmp_path), dying)))
    store = RunStore(tmp_path)
    assert store.find("run-1") is None
    assert (store.scratch("run-1") / "step-3").read_text() == "3"
    assert make(store).file("one").read_text() == "1" * 1000


def test_killed_between_rename_and_index_is_found(tmp_path: Path) -> None:
    def unindexed() -> None:
        with mock.patch.object(RunStore, "_index", lambda *_: os.kill(os.getpid(), signal.SIGKILL)):
            make(RunStore(tmp_path))

    assert os.WIFSIGNALED(in_child(unindexed))
    with closing(sqlite3.connect(tmp_path / "records.db")) as raw:
        assert raw.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert RunStore(tmp_path).find("run-1") is not None
    with closing(sqlite3.connect(tmp_path / "records.db")) as raw:
        assert raw.execute("SELECT run FROM runs").fetchall() == [("run-1",)]


def test_two_processes_make_a_run_once(tmp_path: Path) -> None:
    """Both ask at the same time; one works for 0.3 s, the other waits and is given the same artifact."""
    store = RunStore(tmp_path)

    def slow(out: Path) -> Artifact:
        with (tmp_path / "worked").open("a") as log:
            log.write("x")
        time.sleep(0.3)
        return work(out)

    def ask() -> None:
        (tmp_path / str(os.getpid())).with_suffix(".id").write_text(make(RunStore(tmp_path), slow).id)

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            ask()
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert (tmp_path / "worked").read_text() == "x"
    made = store.find("run-1")
    assert made is not None
    assert {path.read_text() for path in tmp_path.glob("*.id")} == {made.id}


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    def hold() -> None:
        RunStore(tmp_path).database.lock("run-1").acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WIFSIGNALED(in_child(hold))
    assert make(RunStore(tmp_path)).run == "run-1"


def test_append_killed_at_every_call_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """A record that was acknowledged stays; one that was not is there whole or not at all; nothing looks tampered."""
    ledger = Ledger(RunStore(tmp_path))
    acknowledged = 0
    for _ in kill_points(lambda: Ledger(RunStore(tmp_path)).append("run", {"by": "killed"}, actor="child")):
        assert ledger.verify() == []
        assert ledger.head().seq >= acknowledged
        acknowledged = ledger.append("run", {"by": "parent"}, actor="parent").seq
        assert ledger.verify() == []
    assert sum(entry.actor == "parent" for entry in ledger.entries()) >= 4
