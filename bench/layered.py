"""Layered tuning (70 % frozen, 20 % query and key, 10 % trained) against our own full tuning, one epoch and three.

Both are the stage `tune` on the same rows, each run in a process of its own. The layered one computes the states above
its frozen bottom once and reads them from disk in the later epochs; that is counted in its time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import _environments, _process, _rows, peers
from bench._frame import Asked, Column, Figures, Outcome

ROUNDS = 3
ROWS = 64
EPOCHS = (1, 3)
LEARNING_RATE = 2e-5
STRATEGIES = ("layered", "full")


def run(asked: Asked) -> Outcome:
    """Both strategies in turn, each over every number of epochs."""
    rows = _rows.tokenised(_rows.rows(asked.rows or ROWS), asked.model)
    epochs = (asked.epochs,) if asked.epochs else EPOCHS
    outcome = Outcome(tuple(column for number in epochs for column in _columns(number)))
    for _ in range(asked.rounds or ROUNDS):
        for strategy in STRATEGIES:
            figures: Figures = {}
            for number in epochs:
                figures |= _measured(strategy, rows, replace(asked, epochs=number))
            outcome.add(strategy, figures)
    tokens = sum(len(row["ids"]) for row in rows)
    outcome.notes = [
        f"{len(rows)} rows, {tokens:,} tokens an epoch; rate {LEARNING_RATE}, in the middle ten times that"
    ]
    return outcome


def _columns(epochs: int) -> list[Column]:
    head = f"{epochs} epoch" + "s" * (epochs > 1)
    return [
        Column(f"seconds_{epochs}", f"seconds of {head}", 1),
        Column(f"peak_gb_{epochs}", f"peak GB of {head}", 2),
        Column(f"loss_{epochs}", f"loss after {head}", 4, compared=False),
    ]


def _measured(strategy: str, rows: list[dict[str, Any]], asked: Asked) -> Figures:
    contender = peers.Contender(strategy, "ours", settings={"strategy": {"use": strategy}})
    job = replace(peers.job_of(contender, rows, asked), learning_rate=LEARNING_RATE)
    result = _process.drive(_environments.python_of("", ()), contender.driver, job)
    return {f"{name}_{asked.epochs}": float(result[name]) for name in ("seconds", "peak_gb", "loss")}
