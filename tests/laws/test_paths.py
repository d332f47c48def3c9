"""Laws of every way of reasoning: chains for each question, in order, the same again; what fails loses no question."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reason_fakes import Drawer, asked
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer
from tunesmith.reason.library import Library, Solved
from tunesmith.reason.line import Job, Line
from tunesmith.reason.shelf import PATHS

TEXTS = ("one", "two", "", "颜色 3", "two")
QUESTIONS = [asked(text, "Answer.") for text in TEXTS]
SHOTS = [
    Solved.of(f"example {n}", f"It is {n}.", task="Answer.", source=("training", "auto_cot")[n % 2]) for n in range(6)
]

each_path = pytest.mark.parametrize("name", PATHS.names())


def job_of(name: str, model: Drawer, *, at_most_tokens: int = 9) -> Job:
    return Job.of(Line(PATHS.build({"use": name}), library=Library(SHOTS)), model, at_most_tokens=at_most_tokens)


def numbered(conversation: Conversation, number: int) -> str:
    """What follows from the last question alone, and from the number of the draw."""
    last = next(turn.content for turn in reversed(conversation) if turn.role == "user")
    return f"The answer is {len(last)}{number}"


@each_path
def test_chains_for_each_question_in_order_and_the_same_again(name: str) -> None:
    model = Drawer(numbered)
    first = job_of(name, model).chains(QUESTIONS)
    assert len(first) == len(QUESTIONS) and all(first)
    assert first[1] == first[4] != first[3]
    assert job_of(name, Drawer(numbered)).chains(QUESTIONS) == first
    alone = [job_of(name, Drawer(numbered)).chains([question])[0] for question in QUESTIONS]
    assert alone == first


@each_path
def test_no_question_asks_nothing(name: str) -> None:
    model = Drawer(numbered)
    assert job_of(name, model).chains([]) == [] and model.asked == []


@each_path
def test_every_chain_tells_which_way_of_asking_made_it(name: str) -> None:
    for chains in job_of(name, Drawer(numbered)).chains(QUESTIONS):
        assert {chain.source for chain in chains} <= set(PATHS.names())


@each_path
def test_the_limit_is_passed_on(name: str) -> None:
    class Limited(Drawer):
        def sample(
            self, conversations: Sequence[Conversation], *, at_most_tokens: int, **more: object
        ) -> list[list[Answer]]:
            assert at_most_tokens == 7
            return super().sample(conversations, at_most_tokens=at_most_tokens, **more)  # type: ignore[arg-type]

    assert job_of(name, Limited(numbered), at_most_tokens=7).chains(QUESTIONS[:1])[0]


@each_path
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Answer(text="", stop="error", evidence={"error": "endpoint-slow"}), "backend: endpoint-slow"),
        (Answer(text="   "), "empty"),
        (Answer(text="so so so", stop="length", evidence={"cut": "loop"}), "loop"),
        (Answer(text="I had 3 and then", stop="length"), "cut"),
        (Answer(text="well"), None),
    ],
)
def test_whatever_goes_wrong_no_question_is_lost(name: str, fault: Answer, reason: str | None) -> None:
    """One question of five fails in each of its paths; it keeps its place, its chains say why, the others are whole."""

    def says(conversation: Conversation, number: int) -> str | Answer:
        return fault if any("two" in turn.content for turn in conversation) else numbered(conversation, number)

    chains = job_of(name, Drawer(says)).chains(QUESTIONS)
    assert all(chain.unscored for chain in chains[1]) == (reason is not None)
    assert reason is None or {chain.unscored for chain in chains[1]} == {reason}
    assert not any(chain.unscored for chain in chains[0])
