"""Rounds: who sees what, who may do what, and that nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_desks import at, labelled, queue, store

from tunesmith.core.errors import UserError
from tunesmith.data.label.board import Queue
from tunesmith.data.label.desk import Desk
from tunesmith.data.label.settle import settle

TEXTS = ("one", "two", "three", "four")


def codes(action: Callable[[], Any]) -> list[str]:
    with pytest.raises(UserError) as told:
        action()
    return [problem.code for problem in told.value.problems]


def test_an_annotator_sees_the_text_and_nothing_else(tmp_path: Path) -> None:
    """Neither the answer that the row came with, nor labels of others, nor who they are, nor what rules say."""
    desk = queue(tmp_path, TEXTS)
    labelled(desk, {"ann": "ynmy", "bob": "nn.."}, close=False)
    cyd = at(desk, "cyd")
    seen = json.dumps([cyd.next(), cyd.status()])
    row = cyd.next()
    assert row is not None and row["text"] in TEXTS and row["question"] == "Does it work?"
    assert set(row) == {"row", "question", "text", "labels", "left"}
    for hidden in ("SECRET", desk.labels.person("q", "ann"), '"ann"', "bob"):
        assert hidden not in seen


def test_before_a_round_is_closed_nobody_sees_labels(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), {"ann": "ynmy", "bob": "nnyy", "cyd": "nnyy"}, close=False)
    assert codes(at(desk, "ada").disputes) == ["no-closed-round"]
    assert all(each.label is None for each in settle(desk.board))
    desk.close_round()
    assert len(at(desk, "ada").disputes()) == 2


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("ada", lambda d: d.label(d.board.rows[0], "yes")),
        ("max", lambda d: d.label(d.board.rows[0], "yes")),
        ("stranger", lambda d: d.next()),
        ("ann", lambda d: d.close_round(anyway="I say so")),
        ("ann", lambda d: d.open_round()),
        ("ann", lambda d: d.member("ann", "manager")),
        ("ann", lambda d: d.disputes()),
        ("max", lambda d: d.decide(d.board.rows[0], "yes", "because")),
        ("ann", lambda d: d.decide(d.board.rows[0], "yes", "because")),
    ],
)
def test_only_the_right_role_may(tmp_path: Path, name: str, action: Callable[[Desk], Any]) -> None:
    desk = queue(tmp_path, TEXTS)
    desk.open_round()
    before = len(desk.labels.events("q"))
    assert codes(lambda: action(at(desk, name))) == ["not-your-role"]
    assert len(desk.labels.events("q")) == before


def test_a_row_takes_as_many_answers_as_experts_and_no_more(tmp_path: Path) -> None:
    desk = queue(tmp_path, ["one"], people=["ann", "bob", "cyd", "dan"])
    labelled(desk, {"ann": "y", "bob": "-", "cyd": "y"}, close=False)
    dan = at(desk, "dan")
    assert dan.next() is None
    assert codes(lambda: dan.label(desk.board.rows[0], "no")) == ["row-full"]
    at(desk, "ann").label(desk.board.rows[0], "no")  # who has answered may think again


def test_labels_are_never_overwritten(tmp_path: Path) -> None:
    """yes, then no, then undone: yes is in force, and all of it stays in the record."""
    desk = queue(tmp_path, TEXTS)
    desk.open_round()
    ann, row = at(desk, "ann"), desk.board.rows[0]
    ann.label(row, "yes")
    ann.label(row, "no")
    ann.undo()
    assert ann.board.rounds[0].votes(row) == {ann.person: "yes"}
    ann.undo()
    assert ann.board.rounds[0].votes(row) == {}
    assert codes(ann.undo) == ["nothing-to-undo"]
    kinds = [(e.kind, e.body.get("label")) for e in desk.labels.events("q") if e.row == row]
    assert kinds == [("label", "yes"), ("label", "no"), ("undo", None), ("undo", None)]


def test_a_round_with_rows_missing_is_closed_only_with_a_reason(tmp_path: Path) -> None:
    desk = queue(tmp_path, TEXTS)
    labelled(desk, {"ann": "yyyy", "bob": "yyyy", "cyd": "yyy."}, close=False)
    assert codes(desk.close_round) == ["round-unfinished"]
    desk.close_round(anyway="cyd left")
    assert [e.body["anyway"] for e in desk.labels.events("q") if e.kind == "close"] == ["cyd left"]
    assert codes(desk.close_round) == ["no-open-round"]


def test_an_adjudicator_is_blind_too_and_decides_no_row_of_their_own(tmp_path: Path) -> None:
    """What was said is shown under letters in the order of the labels, so that no letter is a person."""
    desk = labelled(queue(tmp_path, TEXTS), {"ann": "ynmy", "bob": "nnyy", "cyd": "nn-y"})
    ada = at(desk, "ada")
    disputes = {row["text"]: row for row in ada.disputes()}
    assert set(disputes) == {"one", "three"}
    assert disputes["one"]["said"] == {"A": "no", "B": "no", "C": "yes"}
    assert disputes["three"]["said"] == {"A": "maybe", "B": "skipped: cannot tell", "C": "yes"}
    assert "p-" not in json.dumps(disputes)
    ada.decide(disputes["one"]["row"], "yes", "guideline 4")
    assert [row["text"] for row in ada.disputes()] == ["three"]
    desk.member("bob", "none")
    desk.member("bob", "adjudicator")
    assert at(desk, "bob").disputes() == []  # he labelled the one that is left
    assert codes(lambda: at(desk, "bob").decide(disputes["three"]["row"], "no", "mine")) == ["own-row"]


def test_who_has_labelled_in_an_open_round_stays_blind(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), {"ann": "y..."}, close=False)
    assert codes(lambda: desk.member("ann", "adjudicator")) == ["still-blind"]
    assert codes(lambda: desk.member("max", "none")) == ["last-manager"]


def test_a_later_round_replaces_the_label_and_not_the_record(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, ["one"]), {"ann": "y", "bob": "y", "cyd": "y"})
    labelled(desk, {"ann": "n", "bob": "n", "cyd": "n"})
    (row,) = settle(desk.board)
    assert (row.label, row.how, row.round) == ("no", "unanimous", 2)
    assert desk.board.rounds[0].votes(row.row) != desk.board.rounds[1].votes(row.row)


def test_how_rows_are_settled(tmp_path: Path) -> None:
    """Unanimous, two to one, all different, decided, one label only, skipped by all, never asked for."""
    texts = ["unanimous", "most", "spread", "decided", "single", "skipped"]
    desk = labelled(queue(tmp_path, texts), {"ann": "yyyy.-", "bob": "yynny-", "cyd": "ynmn.-"})
    at(desk, "ada").decide(desk.board.rows[3], "maybe", "neither is right")
    desk.refresh()
    rows = {each.row: each for each in settle(desk.board, method="majority")}
    found = {texts[n]: rows[row] for n, row in enumerate(desk.board.rows)}
    assert {text: (each.label, each.how) for text, each in found.items()} == {
        "unanimous": ("yes", "unanimous"),
        "most": ("yes", "majority"),
        "spread": (None, "disputed"),
        "decided": ("maybe", "adjudicated"),
        "single": ("yes", "single"),
        "skipped": (None, "skipped"),
    }
    assert found["most"].agreement == pytest.approx(2 / 3)
    assert found["decided"].agreement == 0.0  # nobody had said so
    assert found["decided"].by == (desk.labels.person("q", "ada"),)


def test_wrong_labels_rows_names_and_reasons_are_told(tmp_path: Path) -> None:
    desk = queue(tmp_path, TEXTS)
    ann = at(desk, "ann")
    assert codes(ann.next) == ["no-open-round"]
    desk.open_round()
    row = desk.board.rows[0]
    assert codes(lambda: ann.label(row, "yess")) == ["unknown-label"]
    assert codes(lambda: ann.label("ex-nowhere", "yes")) == ["unknown-row"]
    assert codes(lambda: ann.skip(row, "  ")) == ["no-reason"]
    assert codes(lambda: at(desk, "a\nb")) == ["bad-name"]
    assert codes(lambda: desk.member("ann", "boss")) == ["unknown-role"]
    assert codes(lambda: desk.open_round("some")) == ["unknown-rows"]
    assert codes(desk.open_round) == ["round-open"]
    assert codes(lambda: Desk(desk.labels, "Q", name="ann")) == ["unknown-queue"]


def test_a_queue_is_made_once_and_everything_wrong_with_it_is_told_at_once(tmp_path: Path) -> None:
    desk = queue(tmp_path, TEXTS)
    again = Queue(labels=("a", "b"))
    assert codes(lambda: Desk.create(desk.labels, "q", name="x", asked=again, rows=desk.examples)) == ["queue-exists"]
    wrong = Queue(labels=("a", "a"))
    found = codes(lambda: Desk.create(desk.labels, "../q", name="x", asked=wrong, rows={}))
    assert found == ["bad-name", "bad-labels", "no-rows"]
    assert store(tmp_path).queues() == ["q"]


def test_names_are_kept_apart_from_what_people_said(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), {"ann": "yyyy"})
    said = json.dumps([[e.kind, e.person, e.body] for e in desk.labels.events("q")])
    assert '"ann"' not in said and desk.labels.person("q", "ann") in said
    assert desk.labels.person("q", "ann") == desk.labels.person("q", " ann ".strip())
