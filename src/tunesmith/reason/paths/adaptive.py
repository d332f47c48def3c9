"""Chains until the question is settled: easy questions cost few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.reason.chains import Chain
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths._asking import Several


@dataclass(frozen=True)
class Adaptive(Several):
    """Draws chains until more of them would hardly change the answer, all open questions together.

    A question is settled when the leading answer's majority is as good as certain (Aggarwal et al., 2023,
    Adaptive-Consistency, the Beta criterion), when a fusion that was taught on held-out rows is as sure of its answer,
    or when the chains that are left could not change the vote.

    Example:
        {use: adaptive, at_most: 16, ask: [{use: few_shot, shots: 4}]}

    Args:
        ask: ways of asking; chain number n is asked in way n modulo their number.
        first: chains that every question has.
        step: chains that a question is given at a time after that.
        at_most: most chains of a question.
        sure: probability from which on it is settled.
    """

    ask: Annotated[tuple[Use, ...], Field(min_length=1)] = (Use(use="direct"),)
    first: Annotated[int, Field(ge=1)] = 2
    step: Annotated[int, Field(ge=1)] = 1
    at_most: Annotated[int, Field(ge=1, le=1000)] = 8
    sure: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

    def draw(self, job: Job, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """See `Paths.draw`."""
        drawn: list[list[Chain]] = [[] for _ in questions]
        open_, size = list(range(len(questions))), min(self.first, self.at_most)
        while open_:
            numbers = [range(len(drawn[n]), min(self.at_most, len(drawn[n]) + size)) for n in open_]
            for n, chains in zip(open_, self.chains(job, [questions[n] for n in open_], numbers), strict=True):
                drawn[n] += chains
            open_, size = [n for n in open_ if not self._settled(job.line, drawn[n])], self.step
        return drawn

    def _settled(self, line: Line, chains: Sequence[Chain]) -> bool:
        left = self.at_most - len(chains)
        votes = Counter(chain.conclusion for chain in chains if not chain.unscored)
        (lead, second) = ([count for _, count in votes.most_common(2)] + [0, 0])[:2]
        if left <= 0 or lead - second > left:
            return True
        if line.learnt and line.fuse(chains).probability >= self.sure:
            return True
        return majority_is_sure(lead, second) >= self.sure


def majority_is_sure(lead: int, second: int) -> float:
    """Probability that the leading answer is the likelier of the two, from an even prior: 1 - I_1/2(lead+1, second+1).

    Aggarwal et al. (2023), equation 3: three equal answers give 15/16, two give 7/8.
    """
    from scipy.special import betainc

    return 1.0 - float(betainc(lead + 1, second + 1, 0.5))
