"""For every term a training that it can be held to its laws in: a tiny model, rows of the kind that it reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent / "tune"))

from tune_fakes import job_of, some_rows, tiny_base

from fakes import tiny_tokenizer
from tunesmith.core.types import Example, Profile
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, shared_prefix
from tunesmith.tune.forward import Forward, choose_forward
from tunesmith.tune.objective import TERMS, Running
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.rollouts import Sampled
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


def pairs(count: int) -> dict[str, Any]:
    """So many pairs: the answers of `some_rows` of two seeds after the same question, as rows and units."""
    better, others = some_rows(count), some_rows(count, seed=1)
    rows = []
    for row, other in zip(better, others, strict=True):
        said = other.ids[other.trained[0] :]
        places = tuple(range(row.trained[0], row.trained[0] + len(other.trained)))
        rows += [row, Row(row.id, row.ids[: row.trained[0]] + said, places, "rejected")]
    return {"rows": rows, "units": [(2 * n, 2 * n + 1) for n in range(count)]}


def fairness(path: Path) -> Case:
    """Rows that say yes or no, in two groups; multipliers as if both had been violated for a while."""
    chat = Chat(tiny_tokenizer())
    rows, examples = [], {}
    for number, row in enumerate(some_rows(8)):
        answer = tuple(chat.completion(("yes", "no")[number % 2]))
        start = row.trained[0]
        rows.append(Row(row.id, (*row.ids[:start], *answer), tuple(range(start, start + len(answer)))))
        examples[row.id] = Example(id=row.id, messages=(), attributes={"sex": "mf"[number // 3 % 2]})
    told = Profile(problem="test", task="classification", labels=("yes", "no"), protect=("sex",))
    fields = {"profile": told, "examples": lambda: examples, "base_path": path / "tiny-llama"}
    case = made(path, {"use": "fairness"}, rows, **fields)
    torch.manual_seed(5)
    multipliers = torch.rand(2, 2, 2, 2, dtype=torch.float64)
    case.term.restore({**case.term.tensors(), "multipliers": multipliers})
    return case


def general_rows(count: int) -> list[Row]:
    """Rows that are not of the domain, with a prompt of their own."""
    return [replace(row, part="general") for row in some_rows(count, seed=9, prefix=[11, 12])]


def anchored(tmp_path: Path, use: dict[str, Any]) -> Case:
    """A term that holds weights to the base's; general rows are at hand, and in no step."""
    return made(tmp_path, use, some_rows(3), general=lambda: general_rows(2))


def sampled_rows() -> list[Row]:
    """Two groups of three answers each; every token was as likely as chance (1 in 400) when it was sampled."""
    chance = -5.99
    rows = []
    for number, (row, advantage) in enumerate(zip(some_rows(6), (1.0, -0.5, -0.5, 1.2, 0.0, -1.2), strict=True)):
        told = (chance,) * len(row.trained)
        about = Sampled(number // 3, advantage, advantage, True, old=told, reference=told)
        rows.append(replace(row, part="sampled", about=about))
    return rows


POLICY_GRADIENT = {
    "use": "policy_gradient",
    "reward": [{"use": "exact_match"}],
    "updates": 2,
    "clip": (0.9, 9.0),
    "kl": 0.1,
    "length": "sequence",
    "at_most_tokens": 4,
}


CASES: dict[str, Callable[[Path], Case]] = {
    "cross_entropy": lambda path: made(path, {"use": "cross_entropy", "chunk_tokens": 5}, some_rows(6)),
    "fairness": fairness,
    "dpo": lambda path: made(path, {"use": "dpo", "chunk_tokens": 3, "beta": 0.5, "label_smoothing": 0.1}, **pairs(4)),
    "kto": lambda path: made(path, {"use": "kto", "chunk_tokens": 3, "desirable": 1.5}, pairs(3)["rows"]),
    "orpo": lambda path: made(path, {"use": "orpo", "chunk_tokens": 3}, **pairs(4)),
    "domain_alignment": lambda path: made(path, {"use": "domain_alignment", "free": 0.5}, some_rows(6)),
    "ewc": lambda path: anchored(path, {"use": "ewc", "samples": 2}),
    "l2_sp": lambda path: anchored(path, {"use": "l2_sp"}),
    "replay": lambda path: made(path, {"use": "replay"}, [*some_rows(3), *general_rows(3)]),
    "teacher_consistency": lambda path: made(
        path,
        {"use": "teacher_consistency", "top": 8, "on": "both", "chunk_tokens": 5},
        [*some_rows(3), *general_rows(3)],
    ),
    "policy_gradient": lambda path: made(path, POLICY_GRADIENT, sampled_rows()),
}
