"""A small head trained on labelled steps says how likely each step is right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding, Verdict
from tunesmith.reason.step_head import StepHead, features


@dataclass(frozen=True)
class ProcessReward:
    """A small head trained on labelled steps (`tunesmith.reason.step_head`) says how likely each step is right.

    Args:
        path: the head, as `StepHead.save` wrote it.
        against_below: a step that is less likely right speaks against the chain.
        for_above: a step that is more likely right speaks for it; in between the check is silent.
    """

    path: str
    against_below: float = 0.3
    for_above: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.against_below <= self.for_above <= 1:
            message = f"against_below ({self.against_below}) and for_above ({self.for_above}) must rise within 0 and 1"
            raise UserError(Problem("wrong-value", message, "", "against_below"))

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each step.

        Raises:
            UserError: the head is missing or broken.
        """
        head = _head(self.path)
        return [
            Finding(
                check="process_reward", verdict=self._verdict(value), detail=f"{value:.2f} likely right", span=step.span
            )
            for step, value in ((step, head.probability(row)) for step, row in features(question, chain.written))
        ]

    def _verdict(self, probability: float) -> Verdict:
        if probability < self.against_below:
            return "against"
        return "for" if probability > self.for_above else "silent"


@lru_cache(maxsize=4)
def _head(path: str) -> StepHead:
    return StepHead.load(Path(path))
