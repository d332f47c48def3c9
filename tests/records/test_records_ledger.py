"""The ledger: appended, never changed unseen; what was done to it is told at its record."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import UserError
from tunesmith.records.chain import GENESIS, Head, Row, damage, record_hash
from tunesmith.records.database import LEDGER
from tunesmith.records.ledger import Ledger, verify_jsonl
from tunesmith.records.store import RunStore

SIZE = 50
FIELDS = ("at", "kind", "actor", "body", "previous", "hash")

Found = list[tuple[str, int | None]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row], Head]:
    """A home with a ledger of 50 records, its rows, and its head."""
    home = tmp_path_factory.mktemp("home")
    ledger = Ledger(RunStore(home))
    for number in range(SIZE):
        ledger.append("run", {"run": f"run-{number}", "seconds": number / 3, "note": "é\0中"}, actor="tester")
    with closing(sqlite3.connect(home / "records.db")) as raw:
        rows = [Row(row[0], *row) for row in raw.execute(f"SELECT seq, {', '.join(FIELDS)} FROM ledger ORDER BY seq")]
    return home, rows, ledger.head()


@pytest.fixture
def raw(written: tuple[Path, list[Row], Head], tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The forger's view: a copy of the 50 records with the triggers dropped."""
    (tmp_path / "home").mkdir()
    with closing(sqlite3.connect(tmp_path / "home" / "records.db")) as copy:
        with closing(sqlite3.connect(written[0] / "records.db")) as source:
            source.backup(copy)
        for (trigger,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            copy.execute(f"DROP TRIGGER {trigger}")
        (tmp_path / "home" / "ledger.head").write_bytes((written[0] / "ledger.head").read_bytes())
        yield copy


def found(home: Path) -> Found:
    return [(problem.code, problem.line) for problem in Ledger(RunStore(home)).verify()]


def forged(row: Row, **changes: object) -> Row:
    """`row` changed, with a hash that fits its new content."""
    changed = row._replace(**changes)  # type: ignore[arg-type]
    return changed._replace(hash=record_hash(changed))


def standing(rows: list[Row]) -> list[Row]:
    """Rows renumbered to the places where they stand, hashes left as they are."""
    return [row._replace(place=place, seq=place) for place, row in enumerate(rows, start=1)]


def seen(rows: list[Row], head: Head | None) -> Found:
    return [(problem.code, problem.line) for problem in damage(rows, expect=head, where="ledger")]


# -- writing ---------------------------------------------------------------------------------------


def test_records_are_numbered_and_chained(tmp_path: Path) -> None:
    ledger = Ledger(RunStore(tmp_path))
    assert ledger.head() == (0, GENESIS)
    first = ledger.append("run", {"b": 1, "a": [None, "x"]}, actor="ann")
    second = ledger.append("override", {"reason": "pilot"}, actor="bob")
    assert (first.seq, first.previous, first.actor, first.body) == (1, GENESIS, "ann", {"b": 1, "a": [None, "x"]})
    assert (second.seq, second.previous) == (2, first.hash)
    assert list(ledger.entries()) == [first, second]
    assert list(ledger.entries(after=1)) == [second]
    assert list(ledger.entries(limit=1)) == [first]
    assert ledger.head() == (2, second.hash)
    assert ledger.verify() == []


def test_the_hash_is_the_one_that_the_description_gives() -> None:
    """printf '{"actor":"a","at":"t","body":{"x":1},"kind":"k","previous":"0…0","seq":1}' | sha256sum"""
    row = Row(1, 1, "t", "k", "a", '{"x":1}', GENESIS, "")
    assert record_hash(row) == "1d077131167dc56bf65f17b6b77f491413da8f94671cacc84c39155caa9e28d6"


def test_the_database_refuses_updates_and_deletes(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    Ledger(store).append("run", {}, actor="ann")
    for statement in (sa.update(LEDGER).values(actor="eve"), sa.delete(LEDGER)):
        with pytest.raises(IntegrityError, match="append-only"), store.database.writing() as connection:
            connection.execute(statement)
    assert Ledger(store).verify() == []


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}])
def test_what_json_cannot_say_is_refused(tmp_path: Path, body: dict[str, object]) -> None:
    ledger = Ledger(RunStore(tmp_path))
    with pytest.raises((TypeError, ValueError)):
        ledger.append("run", body, actor="ann")
    assert ledger.head().seq == 0


def test_hostile_text_is_kept_and_verifies(tmp_path: Path) -> None:
    ledger = Ledger(RunStore(tmp_path))
    body = {"\0": "\ud800", "x\u2028": "'; DROP TABLE ledger; --"}
    ledger.append("run", body, actor="\0eve\udcff")
    assert next(ledger.entries()).body == body
    assert ledger.verify() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")
def test_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    """Three writers of 15 records each: 45 records, no gap, no fork, each writer's own in its order."""
    writers = []
    for name in "abc":
        writer = os.fork()
        if writer == 0:
            try:
                own = Ledger(RunStore(tmp_path))
                for number in range(15):
                    own.append("run", {"n": number}, actor=name)
            except BaseException:
                os._exit(1)
            os._exit(0)
        writers.append(writer)
    assert [os.waitpid(writer, 0)[1] for writer in writers] == [0, 0, 0]
    ledger = Ledger(RunStore(tmp_path))
    assert ledger.verify() == []
    entries = list(ledger.entries())
    assert [entry.seq for entry in entries] == list(range(1, 46))
    for name in "abc":
        assert [entry.body["n"] for entry in entries if entry.actor == name] == list(range(15))


# -- what was done to it, through the database -----------------------------------------------------


def test_untouched(raw: sqlite3.Connection, tmp_path: Path) -> None:
    assert found(tmp_path / "home") == []


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_in_the_database(raw: sqlite3.Connection, tmp_path: Path, field: str) -> None:
    raw.execute(f"UPDATE ledger SET {field} = {field} || 'x' WHERE seq = 20")
    raw.execute(f"UPDATE ledger SET {field} = X'00FF' WHERE seq = 30")
    raw.execute(f"UPDATE ledger SET {field} = CAST(X'C3' AS TEXT) WHERE seq = 40")
    raw.commit()
    assert found(tmp_path / "home") == [("ledger-altered", 20), ("ledger-altered", 30), ("ledger-altered", 40)]


def test_a_removed_and_a_cut_record_in_the_database(raw: sqlite3.Connection, tmp_path: Path) -> None:
    raw.execute("DELETE FROM ledger WHERE seq IN (7, 49, 50)")
    raw.commit()
    assert found(tmp_path / "home") == [("ledger-removed", 7), ("ledger-truncated", 49)]


def test_everything_removed(raw: sqlite3.Connection, tmp_path: Path) -> None:
    raw.execute("DELETE FROM ledger")
    raw.commit()
    assert found(tmp_path / "home") == [("ledger-truncated", 1)]


def test_a_huge_number_does_not_stall_the_check(raw: sqlite3.Connection, tmp_path: Path) -> None:
    raw.execute("UPDATE ledger SET seq = 4000000000000000000, body = '{}' WHERE seq = 50")
    raw.commit()
    assert ("ledger-removed", 50) in found(tmp_path / "home")


def test_a_missing_or_broken_head_is_told(raw: sqlite3.Connection, tmp_path: Path) -> None:
    head = tmp_path / "home" / "ledger.head"
    for content in ("", "[]", '{"seq": "x", "hash": ""}'):
        head.write_text(content)
        assert found(tmp_path / "home") == [("ledger-head", None)]
    head.unlink()
    assert found(tmp_path / "home") == [("ledger-head", None)]
    Ledger(RunStore(tmp_path / "home")).append("run", {}, actor="ann")
    assert found(tmp_path / "home") == []


def test_an_older_head_still_fits_a_ledger_that_has_gone_on(
    raw: sqlite3.Connection, written: tuple[Path, list[Row], Head], tmp_path: Path
) -> None:
    ledger = Ledger(RunStore(tmp_path / "home"))
    ledger.append("run", {}, actor="ann")
    assert ledger.verify(expect=written[2]) == []
    assert ledger.verify(expect=(30, written[1][29].hash)) == []
    wrong = ledger.verify(expect=(30, written[1][30].hash))
    assert [(problem.code, problem.line) for problem in wrong] == [("ledger-rewritten", 30)]


def test_readers_are_given_an_unreadable_record_as_it_is(raw: sqlite3.Connection, tmp_path: Path) -> None:
    raw.execute("UPDATE ledger SET body = '{', kind = X'00' WHERE seq = 3")
    raw.commit()
    ledger = Ledger(RunStore(tmp_path / "home"))
    entries = list(ledger.entries())
    assert len(entries) == SIZE
    assert entries[2].as_dict()["body"] == {"unreadable": "{"}
    head = ledger.export_jsonl(tmp_path / "ledger.jsonl")
    found = [(problem.code, problem.line) for problem in verify_jsonl(tmp_path / "ledger.jsonl", expect=head)]
    assert found == [("ledger-altered", 3)], "an export does not wash it clean"


# -- every tampering at every record ----------------------------------------------------------------


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("field", FIELDS)
def test_every_flipped_bit_is_found_at_its_record(written: tuple[Path, list[Row], Head], field: str, step: int) -> None:
    """Every bit of every `step`-th record, seen among its neighbours: record n, and nothing else, was altered."""
    _, rows, _ = written
    for index in range(0, SIZE, step):
        row = rows[index]
        data = str(getattr(row, field)).encode()
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            changed = row._replace(**{field: flipped.decode("utf-8", "surrogateescape")})  # type: ignore[arg-type]
            near = [*rows[max(0, index - 1) : index], changed, *rows[index + 1 : index + 2]]
            apart = [("ledger-removed", 1)] if index > 1 else []  # the neighbourhood does not begin at record 1
            assert seen(near, None) == [*apart, ("ledger-altered", row.seq)]


@pytest.mark.parametrize("place", range(1, SIZE + 1))
def test_every_tampering_is_found_at_its_record(written: tuple[Path, list[Row], Head], place: int) -> None:
    _, rows, head = written
    index, row = place - 1, rows[place - 1]
    without = rows[:index] + rows[index + 1 :]
    removed = ("ledger-truncated" if place == SIZE else "ledger-removed", place)
    assert seen(without, head) == [removed], "removed, numbers left"
    assert seen(standing(without), head) == [removed], "removed, numbers closed up"

    rewritten = forged(row, actor="eve")
    end = [("ledger-rewritten" if place == SIZE else "ledger-altered", place)]
    assert seen([*rows[:index], rewritten, *rows[index + 1 :]], head) == end, "altered with its hash"

    junk = Row(place, place, "t", "run", "eve", "{}", row.previous, "f" * 64)
    assert seen(standing([*rows[:index], junk, *rows[index:]]), head) == [("ledger-inserted", place)]
    fork = forged(row, actor="eve")
    assert seen(standing([*rows[:index], fork, *rows[index:]]), head) == [("ledger-forked", place)]
    copy = seen(standing([*rows[:index], row, *rows[index:]]), head)
    assert copy in ([("ledger-inserted", place)], [("ledger-inserted", place + 1)]), "the two are alike"
    assert seen(standing([*rows, row]), head) == [("ledger-inserted", SIZE + 1)], "a copy at the end"

    if place < SIZE:
        late = forged(Row(SIZE + 1, SIZE + 1, "t", "run", "eve", "{}", row.hash, ""))
        assert seen([*rows, late], head) == [("ledger-forked", SIZE + 1)], "a fork at the end"
        assert seen(rows[:place], head) == [("ledger-truncated", place + 1)]
        swapped = standing([*rows[:index], rows[place], row, *rows[place + 1 :]])
        assert seen(swapped, head) == [("ledger-reordered", place)], "exchanged with the next: both are told"


def test_every_exchange_and_every_move_is_found(written: tuple[Path, list[Row], Head]) -> None:
    _, rows, head = written
    for first, second in [(0, 2), (0, 49), (3, 20), (17, 30), (47, 49), (10, 12)]:
        swapped = rows.copy()
        swapped[first], swapped[second] = rows[second], rows[first]
        expected = [("ledger-reordered", first + 1), ("ledger-reordered", second + 1)]
        assert seen(standing(swapped), head) == expected
        moved = [*rows[:first], *rows[first + 1 : second + 1], rows[first], *rows[second + 1 :]]
        assert seen(standing(moved), head) == [("ledger-reordered", first + 1)]


def test_a_rewriting_with_all_hashes_is_seen_only_against_the_head(written: tuple[Path, list[Row], Head]) -> None:
    _, rows, head = written
    again: list[Row] = []
    for row in rows:
        changes = {"actor": "eve"} if row.seq == 10 else {}
        again.append(forged(row, previous=again[-1].hash if again else GENESIS, **changes))
    assert seen(again, None) == []
    assert seen(again, head) == [("ledger-rewritten", SIZE)]
    assert seen(again, Head(9, rows[8].hash)) == [], "a head from before the change shows nothing"


def test_two_tamperings_are_both_found(written: tuple[Path, list[Row], Head]) -> None:
    _, rows, head = written
    rows = rows.copy()
    rows[4] = rows[4]._replace(actor="eve")
    del rows[30]
    assert seen(rows, head) == [("ledger-altered", 5), ("ledger-removed", 31)]


@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["drop", "copy", "swap", "alter", "forge", "junk"]), st.integers(0, 49), st.integers(0, 49)
        ),
        min_size=1,
        max_size=4,
    ),
    closed_up=st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_combination_of_edits_goes_unseen(
    written: tuple[Path, list[Row], Head], edits: list[tuple[str, int, int]], closed_up: bool
) -> None:
    _, original, head = written
    rows = original.copy()
    for edit, first, second in edits:
        here, there = first % len(rows), second % len(rows)
        if edit == "drop":
            del rows[here]
        elif edit == "copy":
            rows.insert(there, rows[here])
        elif edit == "swap":
            rows[here], rows[there] = rows[there], rows[here]
        elif edit == "alter":
            rows[here] = rows[here]._replace(actor=f"eve {second}")
        elif edit == "forge":
            rows[here] = forged(rows[here], actor=f"eve {second}")
        else:
            rows.insert(here, Row(here, here, "", "", "", "{}", "", ""))
    # a database gives its rows in the order of their numbers, whatever order they were written in
    rows = standing(rows) if closed_up else sorted(rows, key=lambda row: row.place)
    assert (seen(rows, head) == []) == (rows == original)


# -- the exported file ------------------------------------------------------------------------------


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_export_verifies_without_a_database(written: tuple[Path, list[Row], Head], tmp_path: Path) -> None:
    home, _, head = written
    path = tmp_path / "ledger.jsonl"
    assert Ledger(RunStore(home)).export_jsonl(path) == head
    assert len(lines(path)) == SIZE
    assert verify_jsonl(path, expect=head) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda got: [*got[:6], *got[7:]], ("ledger-removed", 7)),
        (lambda got: got[:48], ("ledger-truncated", 49)),
        (lambda got: [*got[:9], b"\n", *got[9:]], ("ledger-inserted", 10)),
        (lambda got: [*got[:9], b'{"a": 1}\n', *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], got[9].replace(b":", b": ", 1), *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], got[9].replace(b"tester", b"eve"), *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], got[9].replace(b'"seq":10', b'"seq":"x"'), *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], got[9].replace(b'"seq":10', b'"seq":99'), *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], b"[" * 200_000 + b"\n", *got[10:]], ("ledger-altered", 10)),
        (lambda got: [*got[:9], got[10], got[9], *got[11:]], ("ledger-reordered", 10)),
        (lambda got: [*got, got[9]], ("ledger-inserted", 51)),
    ],
)
def test_tampering_with_an_export_is_found_at_its_line(
    written: tuple[Path, list[Row], Head],
    tmp_path: Path,
    change: Callable[[list[bytes]], list[bytes]],
    expected: tuple[str, int],
) -> None:
    home, _, head = written
    path = tmp_path / "ledger.jsonl"
    Ledger(RunStore(home)).export_jsonl(path)
    path.write_bytes(b"".join(change(lines(path))))
    assert [(problem.code, problem.line) for problem in verify_jsonl(path, expect=head)] == [expected]


def test_a_missing_export_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing-file"):
        verify_jsonl(tmp_path / "none.jsonl")
