"""Questions, and a scorer that a model with random weights meets about every second time."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Message, Score
from tunesmith.models.chat import Chat
from tunesmith.tune.batches import Row

ENDS = "a"
"""About half of all answers of six random tokens hold this letter."""

_ASKED = (
    "Is it yes?",
    "What is the capital of France?",
    "Name the chapter.",
    "Is the answer maybe?",
    "Water boils at?",
)


@dataclass(frozen=True)
class Says:
    """1 where the answer holds `what`, else 0."""

    what: str

    def score(self, example: Example, answer: Answer) -> Score:
        return Score(value=float(self.what in answer.text))


def examples_of(count: int) -> list[Example]:
    return [
        Example(
            id=f"ex-{number}",
            messages=(Message(role="user", content=_ASKED[number % 5]), Message(role="assistant", content="yes")),
            split="train",
        )
        for number in range(count)
    ]


def row_of_example(chat: Chat, example: Example) -> Row:
    made = chat.render(example.messages)
    return Row(example.id, tuple(made.ids), tuple(place for place, trained in enumerate(made.trained) if trained))
