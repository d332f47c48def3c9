"""When a checkpoint is due, and how long the rest of a training will take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

SURE_STEPS = 10
"""From so many steps on the time left is meant to be within 30 % of what it takes; before, it is a first guess."""


class Pace:
    """How long the steps to come will take, by what those before took: seconds = fixed + rate x cost.

    Both numbers follow by least squares from the steps so far, neither below 0. The first step is left out as soon as
    there are others: libraries load and make on first use. What passes between two steps (checkpoints) counts as its
    mean for each.

    Args:
        costs: what every step of the training costs, in one unit (its tokens).
        later: what comes after these steps (other phases), in the same unit.
    """

    def __init__(self, costs: Sequence[float], later: float = 0.0) -> None:
        self._costs, self._later = list(costs), later
        self._left = [*itertools.accumulate(reversed(self._costs), initial=0.0)][::-1]
        self._mean = sum(self._costs) / max(1, len(self._costs))
        self.restart(())

    def restart(self, points: Iterable[dict[str, Any]]) -> None:
        """Forget all, and learn from the `points` of a curve: the run was resumed, or has gone back."""
        self._n, self._sums = 0, (0.0, 0.0, 0.0, 0.0)
        self._between, self._gaps = 0.0, 0
        self._at: float | None = None
        for point in points:
            self.see(point)

    def see(self, point: dict[str, Any], *, at: float | None = None) -> None:
        """One more step is done; `at`: when, in seconds, where that was just now."""
        seconds = point["tokens"] / point["tokens_per_second"] if point.get("tokens_per_second") else None
        if at is not None:
            if self._at is not None:
                self._between += max(0.0, at - self._at - (seconds or 0.0))
                self._gaps += 1
            self._at = at
        if seconds is None:
            return
        cost = self._costs[point["step"] - 1]
        if self._n == 1:
            self._sums = (0.0, 0.0, 0.0, 0.0)  # the first one gives way to the second
        x, y, xx, xy = self._sums
        self._sums = (x + cost, y + seconds, xx + cost * cost, xy + cost * seconds)
        self._n += 1

    def left(self, done: int) -> float | None:
        """Seconds from the end of step `done` (counted from 1) to the end of everything; None: nothing is known yet."""
        if not self._n:
            return None
        fixed, rate = self._line()
        steps = len(self._costs) - done
        later = self._later * (rate + fixed / self._mean if self._mean else 0.0)
        between = self._between / self._gaps * steps if self._gaps else 0.0
        return fixed * steps + rate * self._left[done] + later + between

    def _line(self) -> tuple[float, float]:
        n = max(1, self._n - 1)
        x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread <= 1e-9 * n * xx:
            return (0.0, y / x) if x else (y / n, 0.0)
        rate = (n * xy - x * y) / spread
        fixed = (y - rate * x) / n
        if rate < 0:
            return y / n, 0.0
        return (0.0, y / x) if fixed < 0 else (fixed, rate)


def due(every: str) -> Callable[[int], bool]:
    """Whether a checkpoint is due after step `step`: `60 s` by the clock, `50 steps` by count."""
    number = int("".join(c for c in every if c.isdigit()))
    if "step" in every:
        return lambda step: (step + 1) % number == 0
    told = [time.monotonic()]

    def by_clock(_: int) -> bool:
        if time.monotonic() - told[0] < number:
            return False
        told[0] = time.monotonic()
        return True

    return by_clock
