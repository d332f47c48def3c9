"""For every term a training that it can be held to its laws in: a tiny model, rows of the kind that it reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent / "tune"))

from tune_fakes import job_of, some_rows, tiny_base

from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, shared_prefix
from tunesmith.tune.forward import Forward, choose_forward
from tunesmith.tune.objective import TERMS, Running
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.rules import STRATEGIES

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5}


@dataclass(frozen=True)
class Case:
    """A term at work.

    Args:
        term: bound, the model's weights moved away from where they were then.
        plan: its step 0 is what the term is tried on.
        forward: of the model.
        weights: what is trained.
    """

    term: Running
    plan: Plan
    forward: Forward
    weights: dict[str, Tensor]


def made(tmp_path: Path, use: dict[str, Any], rows: Sequence[Row], **fields: Any) -> Case:
    """The term `use` bound on an untrained model with `rows` as one step; then the adapter gets random weights.

    Args:
        tmp_path: folder of the test.
        use: the term and its settings.
        rows: the step.
        fields: `units` of the plan; everything else is for `job_of`.
    """
    model = load_model(Path(tiny_base(tmp_path).path))
    adapted = STRATEGIES.build(LORA).apply(model.requires_grad_(False), seed=0)
    units = fields.pop("units", None)
    count = len(rows) if units is None else len(units)
    plan = Plan(
        rows=rows,
        rows_per_step=count,
        epochs=1,
        prefix=shared_prefix(rows),
        micro_tokens=100_000,
        seed=0,
        units=units,
    )
    forward, why = choose_forward(adapted, rows)
    assert why == ""
    term = TERMS.build(use).bind(job_of(adapted, forward, plan, tmp_path / "phase", **fields))
    torch.manual_seed(3)
    weights = trained_weights(adapted)
    for weight in weights.values():
        torch.nn.init.normal_(weight, std=0.05)
    return Case(term, plan, forward, weights)


CASES: dict[str, Callable[[Path], Case]] = {
    "cross_entropy": lambda path: made(path, {"use": "cross_entropy", "chunk_tokens": 5}, some_rows(6)),
}
