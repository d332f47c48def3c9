"""Many chains, and the answer that most of them come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.reason.chains import Chain
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths._asking import Several


@dataclass(frozen=True)
class SelfConsistency(Several):
    """The same number of chains for every question (Wang et al., 2023, self-consistency).

    Example:
        {use: self_consistency, draws: 8, ask: [{use: few_shot, shots: 4}, {use: zero_shot}]}

    Args:
        ask: ways of asking; chain number n is asked in way n modulo their number.
        draws: chains of each question.
    """

    ask: Annotated[tuple[Use, ...], Field(min_length=1)] = (Use(use="direct"),)
    draws: Annotated[int, Field(ge=1, le=1000)] = 8

    def draw(self, job: Job, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """See `Paths.draw`."""
        return self.chains(job, questions, [range(self.draws)] * len(questions))

    def full(self) -> SelfConsistency:
        """See `Paths.full`: itself."""
        return self

    def fit(self, line: Line, rows: Sequence[Sequence[Chain]]) -> dict[str, Any]:
        """See `Paths.fit`: nothing."""
        return {}

    def drawn(self, line: Line, chains: Sequence[Chain]) -> int:
        """See `Paths.drawn`: all."""
        return len(chains)
