"""What goes wrong in a training and does not end it: batches that are not finite, spikes of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from tunesmith.core.errors import Problem, UserError

MOST_REWINDS = 3
"""A run that spikes more often is not saved by going back; it goes on, and its gates judge it."""

SPIKE = 3.0
"""A loss of this many times the median of the last `SPIKE_WINDOW` steps is a spike, if it is also worse than at the
start of the training (small losses late in a training jump by such factors from batch to batch)."""

SPIKE_WINDOW, START_STEPS = 32, 5
IN_A_ROW, MOST_SHARE = 3, 0.1
"""So many steps set aside in a row, or this share of all (but at least `IN_A_ROW`), and the training has diverged."""


class NotFinite(Exception):
    """A loss or gradient is NaN or infinite; nothing was updated. `rows`: ids of the rows of the batch."""

    def __init__(self, found: str, rows: list[str]) -> None:
        super().__init__(found)
        self.rows = rows


class TrainingDiverged(UserError):
    """Too many steps had a loss or gradient that is not a finite number."""


def no_room(tokens: int) -> UserError:
    """Nothing smaller than one row of so many tokens can be tried, and it does not fit into memory."""
    found = f"a row of {tokens:,} tokens does not fit into memory, even alone"
    hint = "set tune.activation_checkpointing: true, lower tune.context_tokens, or train fewer weights"
    return UserError(Problem("no-memory", found, hint, "tune"))


class SetAside:
    """The steps that are left out, and why. Part of a checkpoint's state.

    Args:
        total: steps of the whole training.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.steps: dict[int, str] = {}
        self.rewinds = 0

    def add(self, step: int, reason: str, rows: Sequence[str]) -> None:
        """Leave out `step`.

        Raises:
            TrainingDiverged: too many are left out by now.
        """
        self.steps[step] = reason
        row = 0
        while step - row in self.steps:
            row += 1
        many = max(IN_A_ROW, int(MOST_SHARE * self.total))
        if row >= IN_A_ROW or len(self.steps) > many:
            found = f"{reason}, in rows {', '.join(rows[:5])}; {len(self.steps)} steps were set aside before this ended"
            hint = "lower tune.learning_rate, or look at these rows with `tunesmith data preview`"
            raise TrainingDiverged(Problem("training-diverged", found, hint, "tune.learning_rate"))

    def rewound(self, step: int, reason: str, *, back: bool) -> None:
        """One more rewind: `step` is left out, and the step before it where the run went back."""
        self.steps |= {step: reason} | ({step - 1: reason} if back else {})
        self.rewinds += 1

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"set_aside": {str(step): reason for step, reason in self.steps.items()}, "rewinds": self.rewinds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.steps = {int(step): reason for step, reason in state["set_aside"].items()}
        self.rewinds = int(state["rewinds"])


def is_spike(points: Sequence[Mapping[str, Any]], point: Mapping[str, Any]) -> bool:
    """Whether the cross-entropy of `point` jumps out of the curve: see `SPIKE` (after PaLM, arXiv:2204.02311, 5.1)."""
    before = [p["cross_entropy"] for p in points if "cross_entropy" in p]
    if "cross_entropy" not in point or len(before) < START_STEPS:
        return False
    value, usual = point["cross_entropy"], median(before[-SPIKE_WINDOW:])
    return bool(value > SPIKE * usual and value > mean(before[:START_STEPS]))
