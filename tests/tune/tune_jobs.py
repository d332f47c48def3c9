"""The trainings that tests kill: a table that every new strategy and objective adds a line to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.tune.batches import Row

LORA = {"use": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "upper": 0.5}


def ten_rows() -> list[Row]:
    from tune_fakes import some_rows

    return some_rows(10)


@dataclass(frozen=True)
class Job:
    """One training of a tiny model.

    Args:
        spec: settings of the section `tune` that differ from `tune_fakes.FAST`.
        rows: makes the training rows; 10 rows, 4 a step and 4 epochs make 12 steps, a checkpoint after each.
        architecture: of the tiny model, see `fakes.tiny_model_folder`.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    rows: Callable[[], list[Row]] = ten_rows
    architecture: str = "llama"

    @property
    def settings(self) -> dict[str, Any]:
        return {"epochs": 4, "checkpoint_every": "1 steps", **self.spec}


JOBS = {
    "lora with dropout, states of the frozen half kept": Job({"strategy": LORA}),
    "lora with dropout, every layer trained": Job({"strategy": {**LORA, "upper": 1.0}}),
    "lora with gradients accumulated over rows of their own": Job({"strategy": LORA, "tokens_per_micro_batch": 16}),
    "lora where a row is a step": Job({"strategy": LORA, "rows_per_step": 1, "epochs": 1}),
}

COMPILED = {
    "compiled layers": Job({"strategy": LORA, "speed": {"compile": "on"}}),
    "compiled layers, every weight trained": Job({"strategy": {"use": "full"}, "speed": {"compile": "on"}}),
}
"""Compiled by a real compiler, which takes a minute each: for slow tests, and never in a forked process."""
