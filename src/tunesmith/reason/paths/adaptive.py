"""Chains until the question is settled: easy questions cost few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field

from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.reason.chains import Chain
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths._asking import Several
from tunesmith.reason.paths.self_consistency import SelfConsistency
from tunesmith.reason.settling import Settling
from tunesmith.reason.stopping import Stopping


@dataclass(frozen=True)
class Adaptive(Several):
    """Draws chains until the rest would hardly change the vote, all open questions together.

    On validation rows it is taught when to stop, so that early and full vote differ in at most the share `differ` of
    questions like them (see `stopping.Stopping.fit`). Untaught it stops a question when the chance that its leading
    answer is overtaken is at most `differ`.

    Example:
        {use: adaptive, at_most: 16, ask: [{use: few_shot, shots: 4}]}

    Args:
        ask: ways of asking; chain number n is asked in way n modulo their number.
        first: chains that every question has.
        step: chains that a question is given at a time after that.
        at_most: chains of the full vote.
        differ: share of questions in which the early answer may be another than that of the full vote.
    """

    ask: Annotated[tuple[Use, ...], Field(min_length=1)] = (Use(use="direct"),)
    first: Annotated[int, Field(ge=1)] = 2
    step: Annotated[int, Field(ge=1)] = 1
    at_most: Annotated[int, Field(ge=1, le=1000)] = 8
    differ: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def draw(self, job: Job, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """See `Paths.draw`."""
        drawn: list[list[Chain]] = [[] for _ in questions]
        open_, size = list(range(len(questions))), min(self.first, self.at_most)
        while open_:
            numbers = [range(len(drawn[n]), min(self.at_most, len(drawn[n]) + size)) for n in open_]
            for n, chains in zip(open_, self.chains(job, [questions[n] for n in open_], numbers), strict=True):
                drawn[n] += chains
            open_ = [n for n in open_ if len(drawn[n]) < self.at_most and not self._settled(job.line, drawn[n])]
            size = self.step
        return drawn

    def full(self) -> SelfConsistency:
        """See `Paths.full`: every question has all its chains."""
        return SelfConsistency(ask=self.ask, draws=self.at_most)

    def fit(self, line: Line, rows: Sequence[Sequence[Chain]]) -> dict[str, Any]:
        """See `Paths.fit`: when to stop; by the line's own answers where it has a fusion, else by votes."""
        if not rows:
            return {}
        if line.fusion is not None:
            return asdict(Settling.fit(line, rows, chance=self.differ))
        return asdict(Stopping.fit([_votes(chains) for chains in rows], chance=self.differ))

    def drawn(self, line: Line, chains: Sequence[Chain]) -> int:
        """See `Paths.drawn`."""
        looks = range(min(self.first, len(chains)), len(chains), self.step)
        return next((n for n in looks if self._settled(line, chains[:n])), len(chains))

    def _settled(self, line: Line, chains: Sequence[Chain]) -> bool:
        taught = line.stopping
        if "weights" in taught:
            return Settling(**{**taught, "weights": tuple(taught["weights"])}).settled(line, chains)
        return Stopping(**{"full": self.at_most, "level": self.differ, **taught}).settled(_votes(chains))


def _votes(chains: Sequence[Chain]) -> list[str | None]:
    return [None if chain.unscored else chain.conclusion for chain in chains]
