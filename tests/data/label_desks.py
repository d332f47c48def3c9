"""Queues for tests: rows, people with roles, rounds that are labelled in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith.core.types import Example, Message, example_id
from tunesmith.data.label.board import Queue
from tunesmith.data.label.desk import Desk
from tunesmith.records.database import Database
from tunesmith.records.labels import Labels

LABELS = ("yes", "no", "maybe")


def example(text: str, **more: str) -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content="SECRET ANSWER"))
    return Example(id=example_id(turns, "SECRET TARGET"), messages=turns, target="SECRET TARGET", **more)


def store(folder: Path, url: str | None = None) -> Labels:
    return Labels(Database(folder, url=url))


def queue(
    folder: Path,
    texts: Sequence[str],
    *,
    people: Sequence[str] = ("ann", "bob", "cyd"),
    experts: int = 3,
    url: str | None = None,
) -> Desk:
    """A queue `q` of the manager `max`, with annotators and the adjudicator `ada`; its row ids follow `texts`."""
    labels = store(folder, url)
    rows = {made.id: made for made in map(example, texts)}
    asked = Queue(labels=LABELS, question="Does it work?", experts=experts)
    desk = Desk.create(labels, "q", name="max", asked=asked, rows=rows)
    for person in people:
        desk.member(person, "annotator")
    desk.member("ada", "adjudicator")
    return desk


def at(desk: Desk, name: str) -> Desk:
    """The same queue, with somebody else at it."""
    return Desk(desk.labels, desk.queue, name=name)


def labelled(desk: Desk, said: Mapping[str, str], *, close: bool = True) -> Desk:
    """A round in which each person gives each row the label of its letter, in order (`-` skips, `.` says nothing)."""
    words = {word[0]: word for word in LABELS}
    if desk.refresh().round is None:
        desk.open_round()
    for name, letters in said.items():
        person = at(desk, name)
        for row, letter in zip(desk.board.rows, letters, strict=True):
            if letter == "-":
                person.skip(row, "cannot tell")
            elif letter != ".":
                person.label(row, words[letter])
    if close:
        desk.close_round(anyway="test")
    desk.refresh()
    return desk
