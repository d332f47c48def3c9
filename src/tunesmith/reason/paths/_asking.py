"""Ways of putting a question, and drawing several chains with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Answer, Example, Message
from tunesmith.reason.chains import Chain
from tunesmith.reason.library import Solved
from tunesmith.reason.line import Job, Line
from tunesmith.reason.shelf import PATHS

_HAN = re.compile(r"[\u3400-\u9fff]")


class Asking:
    """A way of putting a question; alone it draws one chain, the likeliest."""

    def put(self, job: Job, questions: Sequence[Conversation]) -> list[Conversation]:
        """The conversations that the model is given in place of the questions."""
        return list(questions)

    def said(
        self, job: Job, questions: Sequence[Conversation], draws: Sequence[range], *, likeliest: bool = False
    ) -> list[list[Answer]]:
        """For each question its answers with these numbers."""
        return job.sample(self.put(job, questions), draws, likeliest=likeliest)

    def chains(
        self, job: Job, questions: Sequence[Conversation], draws: Sequence[range], *, likeliest: bool = False
    ) -> list[list[Chain]]:
        """`said` as chains, checked."""
        said = self.said(job, questions, draws, likeliest=likeliest)
        source = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return [[job.line.chain(q, one, source) for one in some] for q, some in zip(questions, said, strict=True)]

    def draw(self, job: Job, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """See `Paths.draw`: one chain a question, at temperature 0."""
        return self.chains(job, questions, [range(1)] * len(questions), likeliest=True)

    def full(self) -> Asking:
        """See `Paths.full`: itself."""
        return self

    def fit(self, line: Line, rows: Sequence[Sequence[Chain]]) -> dict[str, Any]:
        """See `Paths.fit`: nothing."""
        return {}

    def drawn(self, line: Line, chains: Sequence[Chain]) -> int:
        """See `Paths.drawn`: all."""
        return len(chains)

    def prepare(self, rows: Sequence[Example], job: Callable[[], Job]) -> list[Solved]:
        """See `Paths.prepare`: nothing."""
        return []


@dataclass(frozen=True)
class Several:
    """Draws several chains a question, in one way of asking or in several by turns.

    Args:
        ask: ways of asking; chain number n is asked in way n modulo their number.
    """

    ask: tuple[Use, ...]

    def __post_init__(self) -> None:
        """Refuses ways of asking that are unknown or wrongly set."""
        self.ways()

    def ways(self) -> list[Asking]:
        """The ways of asking.

        Raises:
            UserError: one is unknown or wrongly set.
        """
        return [PATHS.build(use, where=f"ask[{n}]") for n, use in enumerate(self.ask)]

    def chains(self, job: Job, questions: Sequence[Conversation], draws: Sequence[range]) -> list[list[Chain]]:
        """For each question its chains with these numbers, in their order."""
        ways = self.ways()
        drawn: list[dict[int, Chain]] = [{} for _ in questions]
        for n, way in enumerate(ways):
            mine = [range(some.start + (n - some.start) % len(ways), some.stop, len(ways)) for some in draws]
            for found, numbers, chains in zip(drawn, mine, way.chains(job, questions, mine), strict=True):
                found.update(zip(numbers, chains, strict=True))
        return [[found[number] for number in some] for found, some in zip(drawn, draws, strict=True)]

    def prepare(self, rows: Sequence[Example], job: Callable[[], Job]) -> list[Solved]:
        """See `Paths.prepare`: what any of its ways wants."""
        return [one for way in self.ways() for one in way.prepare(rows, job)]


def with_instruction(question: Conversation, english: str, chinese: str) -> list[Message]:
    """A conversation with an instruction behind its last user turn, in the turn's language."""
    last = max((n for n, message in enumerate(question) if message.role == "user"), default=None)
    if last is None:
        return list(question)
    turn = question[last]
    told = chinese if _HAN.search(turn.content) else english
    asked = turn.model_copy(update={"content": f"{turn.content}\n\n{told}"})
    return [*question[:last], asked, *question[last + 1 :]]
