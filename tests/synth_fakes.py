"""Contexts, documents and teachers for the tests of synthesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat_server import good_answer
from tunesmith.core.events import Event, Events
from tunesmith.core.protocols import Context, Conversation
from tunesmith.core.types import Answer, Drop, Example, Message, Usage, example_id
from tunesmith.data.synthesize._teacher import Teacher
from tunesmith.models.endpoint import Endpoint

DOCUMENTS = (
    "Gout is treated with colchicine. It comes back in 30 of 100 patients.",
    "Flu is treated with oseltamivir. Scurvy is treated with fruit.",
)


def document(text: str, number: int = 0) -> Example:
    messages = (Message(role="user", content=text),)
    return Example(id=example_id(messages, None), messages=messages, split="train", place=f"docs.txt:{number}")


def documents() -> list[Example]:
    return [document(text, number) for number, text in enumerate(DOCUMENTS)]


def asked_row(question: str, answer: str = "Yes, so it is.") -> Example:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=example_id(messages, None), messages=messages, split="train", place=f"rows.jsonl:{question[:9]}")


def context(root: Path, sink: Any = None, **more: Any) -> Context:
    scratch = root / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    events = Events(sink) if sink else Events()
    return Context(root=root, out=root, scratch=scratch, events=events, seed=3, run="run-1", **{"open": None, **more})


def teacher(url: str, model: str = "good", **endpoint: Any) -> Teacher:
    settings = {"url": url, "seconds": 60.0, "retries": 2, "at_once": 2, **endpoint}
    return Teacher(model=model, endpoint=Endpoint(**settings))


def split(made: list[Example | Drop]) -> tuple[list[Example], list[Drop]]:
    return [m for m in made if isinstance(m, Example)], [m for m in made if isinstance(m, Drop)]


def told(events: list[Event], step: str) -> dict[str, Any]:
    return next(event.data for event in events if event.data.get("step") == step)


class Fake:
    """An answerer that says what a function makes of the last turn."""

    name = "fake"

    def __init__(self, says: Callable[[str], str] = good_answer) -> None:
        self.says, self.asked, self.opened = says, 0, 0

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        self.asked += len(conversations)
        usage = Usage(prompt_tokens=50, answer_tokens=10, seconds=0.5)
        return [Answer(text=self.says(turns[-1].content), usage=usage) for turns in conversations]

    @contextmanager
    def open(self, _: Any) -> Iterator[Fake]:
        self.opened += 1
        yield self
