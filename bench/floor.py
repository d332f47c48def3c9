"""The floor: matrix products at this model's shapes, and the least time of the work by strategy.

Whatever a trainer does, it multiplies tokens with every matrix of the model and back. Measured is how fast this machine
does that and nothing else; the floor is the least operations of the work over that speed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from bench import _flops, _rows
from bench._frame import Asked, Column, Outcome

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

ROUNDS = 3
TOKENS = 1024
"""About a step of 8 rows."""

HEAD_CHUNK = 256
LAYERED_SHARES = (0.7, 0.2)
"""Layers of the layered strategy that are frozen, and whose queries and keys are adapted; the rest is trained."""

_SECONDS = 0.2


def run(asked: Asked) -> Outcome:
    """The speed of every matrix, `rounds` times, and the floors of the 400 rows."""
    from tunesmith.models.shape import shape_of_folder

    shape = shape_of_folder(asked.model)
    outcome = Outcome((Column("gflops", "GFLOP/s", compared=False),))
    rows = _rows.tokenised(_rows.rows(asked.rows or _rows.ROWS), asked.model)
    for _ in range(asked.rounds or ROUNDS):
        outcome.add("all, as the work has them", {"gflops": speed(shape, rows, threads=asked.threads)})
        for name, (inner, outer) in matrices(shape).items():
            tokens = HEAD_CHUNK if name == "head" else TOKENS
            outcome.add(f"{name} {inner} x {outer}", {"gflops": _gflops(tokens, inner, outer)})
    best = max(run["gflops"] for run in next(iter(outcome.runs.values())))
    for name, operations in floors(shape, rows).items():
        seconds = operations / best / 1e9
        outcome.notes.append(f"{len(rows)} rows, {name}: {operations / 1e12:.1f} TFLOP, at least {seconds:.0f} s")
    return outcome


def matrices(shape: Shape) -> dict[str, tuple[int, int]]:
    """Name -> (inputs, outputs) of what every token passes in a layer, and of the head."""
    from tunesmith.models.estimate import role_sizes

    return {**role_sizes(shape), "head": (shape.hidden, shape.vocabulary)}


def speed(shape: Shape, rows: list[dict[str, Any]], *, threads: int) -> float:
    """1e9 operations a second of all matrices together, each weighted by the operations that the work has of it.

    Args:
        shape: the model.
        rows: the head sees their trained tokens only.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    share = sum(len(row["trained"]) for row in rows) / sum(len(row["ids"]) for row in rows)
    operations = seconds = 0.0
    for name, (inner, outer) in matrices(shape).items():
        times = share if name == "head" else shape.layers
        operations += times * inner * outer
        seconds += times * inner * outer / _gflops(HEAD_CHUNK if name == "head" else TOKENS, inner, outer)
    return operations / seconds


def floors(shape: Shape, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Strategy -> least operations of one epoch; of the layered one also those of an epoch from border states."""
    from tunesmith.models.estimate import lora_parameters

    lora = lora_parameters(shape, 16, roles=("query", "key", "value", "output"))
    frozen, adapted = (round(shape.layers * part) for part in LAYERED_SHARES)
    top = shape.layers - frozen - adapted
    layered = shape.body * top // shape.layers
    layered += lora_parameters(shape, 16, roles=("query", "key"), layers=adapted)
    states = {
        epochs: _flops.least_operations(shape, rows, trainable=layered, lowest=frozen, epochs=epochs, cached=True)
        for epochs in (1, 2)
    }
    return {
        "LoRA": _flops.least_operations(shape, rows, trainable=lora),
        "full": _flops.least_operations(shape, rows, trainable=shape.body),
        "layered": states[1],
        "layered, a later epoch": states[2] - states[1],
    }


def _gflops(tokens: int, inner: int, outer: int) -> float:
    """1e9 operations a second of the product forward and of the one for the input's gradient; the best of a few."""
    states, weight, gradient = torch.ones(tokens, inner), torch.ones(outer, inner), torch.ones(tokens, outer)

    def both() -> None:
        torch.mm(states, weight.T)
        torch.mm(gradient, weight)

    return 2 * 2 * tokens * inner * outer / _best_seconds(both) / 1e9


def _best_seconds(work: Callable[[], None]) -> float:
    best, until = math.inf, time.perf_counter() + _SECONDS
    work()
    while time.perf_counter() < until or best == math.inf:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
