"""What is seen while a model is asked: something at once, and more within a call that takes minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

from tunesmith.core.events import Event, Events
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Likelihood
from tunesmith.evaluate.asking import chunks, told
from tunesmith.evaluate.retention import ask_general
from tunesmith.evaluate.spec import RetentionSpec


class Local:
    """A model on this machine as far as progress goes: it tells its listener after each half of a call."""

    name = "local"
    model = chat = object()

    def __init__(self) -> None:
        self.on_progress: Callable[[int, int], None] | None = None

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        for part in (1, 2):
            if self.on_progress:
                self.on_progress(part * len(conversations), 2 * len(conversations))
        return [[Likelihood(log_probability=-1.0, tokens=1) for _ in some] for some in options]

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return [Likelihood(log_probability=-1.0, tokens=1) for _ in texts]


def heard() -> tuple[Events, list[Event]]:
    events: list[Event] = []
    return Events(events.append), events


def test_a_bar_stands_there_before_the_first_answer() -> None:
    """The first event says 0 of 5; without rows there is none at all."""
    events, seen = heard()
    parts = told(chunks(list(range(5)), 2), events, "evaluate", "questions", 5)
    next(parts)
    assert [event.data["done"] for event in seen] == [0]
    assert list(parts) == [[2, 3], [4]]
    assert [event.data["done"] for event in seen] == [0, 2, 4, 5]
    assert not list(told([], events, "evaluate", "nothing", 0)) and len(seen) == 4


def test_a_model_on_this_machine_tells_how_far_it_is_within_one_call() -> None:
    """Ten questions in one call: 0, half of them, all of them by the model, all of them by us. Then nobody listens."""
    events, seen = heard()
    model = Local()
    for answerer in (model, SimpleNamespace(model=model, name="expert", **methods(model))):
        seen.clear()
        ask_general(answerer, RetentionSpec(items=10, passages=3), languages=["en"], events=events, stage="evaluate")  # type: ignore[arg-type]
        steps = [(event.message.partition(",")[0], event.data["done"], event.data["total"]) for event in seen]
        assert steps == [
            *(("general questions", done, 10) for done in (0, 5, 10, 10)),
            *(("general prose", done, 3) for done in (0, 3)),
        ]
        assert model.on_progress is None


def methods(model: Local) -> dict[str, object]:
    return {"likelihood": model.likelihood, "text_likelihood": model.text_likelihood}
