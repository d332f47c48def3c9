"""Whether rewards teach anything: a run whose answers all get the same reward is told of it, with the cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunesmith.core.events import Events
from tunesmith.core.types import Answer, Example
from tunesmith.tune.loop import STAGE

DEAD_SAMPLINGS = 5
"""So many samplings in a row without any group to learn from are told."""

_SHOWN = 300


class Watch:
    """Looks at every sampled answer.

    Args:
        events: who is told.
        highest: the reward of a perfect answer.

    Attributes:
        dead: samplings in a row, up to now, in which every group was dead.
    """

    def __init__(self, events: Events, highest: float) -> None:
        self.events, self.highest, self.dead = events, highest, 0
        self._known: set[str] = set()
        self._clear()

    def see(self, example: Example, answer: Answer, reward: float, why: str) -> None:
        """One answer of the sampling under way; `why`: the reason for which it could not be scored, or ""."""
        self._stops[answer.stop] += 1
        if why:
            self._unscored[why] += 1
        else:
            self._rewards.append(reward)
        self._last = example, answer

    def end(self, alive: Sequence[bool]) -> None:
        """The sampling is over; for each group whether there is something to learn from it."""
        new = {why: count for why, count in self._unscored.items() if why not in self._known}
        if new:
            told = "; ".join(f"{why} ({count})" for why, count in new.items())
            message = f"answers without a score take no part in training: {told}"
            self.events.tell("warning", STAGE, message, unscored=new)
            self._known |= set(new)
        self.dead = 0 if any(alive) else self.dead + 1
        if self.dead == DEAD_SAMPLINGS:
            self._tell_dead()
        self._clear()

    def _tell_dead(self) -> None:
        example, answer = self._last
        cause, what = self._cause()
        ended = self._stops["end"] / max(1, sum(self._stops.values()))
        said = f"{(answer.reasoning or '')} {answer.text}".strip()
        message = (
            f"in the last {self.dead} samplings all answers to each prompt got the same reward, so nothing was learnt: "
            f"{what}. {ended:.0%} of the answers ended by themselves. One of them: {said[:_SHOWN]!r}; "
            f"wanted: {example.reference[:_SHOWN]!r}"
        )
        self.events.tell(
            "warning",
            STAGE,
            message,
            cause=cause,
            row=example.id,
            answer=said,
            reference=example.reference,
            ended=ended,
        )

    def _cause(self) -> tuple[str, str]:
        if not self._rewards:
            return "unscored", f"no answer could be scored ({', '.join(self._unscored)})"
        if max(self._rewards) <= 0:
            return "all-zero", "every reward was 0: the task is too hard for this model, or the scorer never matches"
        if min(self._rewards) >= self.highest:
            return "all-one", "every answer got the full reward: the task is too easy"
        return "all-alike", "the model says the same each time, or the scorer does not tell its answers apart"

    def _clear(self) -> None:
        self._rewards: list[float] = []
        self._unscored: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
