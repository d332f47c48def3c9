"""Opening the last expert of a project, or its base model, for a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tunesmith.core.events import Events
from tunesmith.core.examples import read_examples
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Message
from tunesmith.project.file import Project
from tunesmith.project.show import last_made
from tunesmith.records.store import RunStore


@dataclass(frozen=True)
class Talk:
    """An answerer with the system turn that its training rows had.

    Args:
        answerer: base or expert.
        system: the system turn that all test rows share; empty where they share none.
    """

    answerer: LikelihoodAnswerer
    system: tuple[Message, ...]


@contextmanager
def open_last(project: Project, store: RunStore, events: Events, *, base: bool) -> Iterator[Talk]:
    """The expert of the newest run that made one, or the base model; freed at the end.

    Raises:
        UserError: no run has come far enough.
    """
    from tunesmith.reason.answerer import open_answerer

    thing = last_made(project, store, "model" if base else "reason")
    events.tell("note", "chat", f"opening {'the base model' if base else 'the expert'} {thing.id}")
    with open_answerer(thing) as answerer:
        yield Talk(answerer, system_of(project, store))


def system_of(project: Project, store: RunStore) -> tuple[Message, ...]:
    """The system turn that all test rows of the last snapshot share; empty where they share none."""
    snapshot = last_made(project, store, "data")
    systems = {e.messages[0] for e in read_examples(snapshot.file("examples.parquet"), "test") if e.messages}
    shared = [message for message in systems if message.role == "system"]
    return (shared[0],) if len(systems) == 1 and shared else ()
