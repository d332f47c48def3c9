"""Laws of every way of reasoning: one answer a question, in order, within the limit, the same again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Message
from tunesmith.reason.shelf import PATHS


class Echo:
    """Repeats the question and notes the limits it was given."""

    name = "echo"

    def __init__(self) -> None:
        self.limits: list[int] = []

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        self.limits.append(at_most_tokens)
        return [Answer(text=conversation[-1].content) for conversation in conversations]


QUESTIONS = [[Message(role="user", content=text)] for text in ("one", "two", "", "颜色", "two")]

each_path = pytest.mark.parametrize("name", PATHS.names())


@each_path
def test_one_answer_a_question_in_order_and_the_same_again(name: str) -> None:
    path = PATHS.build({"use": name})
    first = path.answer(Echo(), QUESTIONS, at_most_tokens=9)
    assert [answer.text for answer in first] == ["one", "two", "", "颜色", "two"]
    assert path.answer(Echo(), QUESTIONS, at_most_tokens=9) == first


@each_path
def test_no_question_is_no_answer(name: str) -> None:
    assert PATHS.build({"use": name}).answer(Echo(), [], at_most_tokens=9) == []


@each_path
def test_the_limit_is_passed_on_and_never_raised(name: str) -> None:
    echo = Echo()
    PATHS.build({"use": name}).answer(echo, QUESTIONS, at_most_tokens=9)
    assert echo.limits and max(echo.limits) <= 9
