"""Answers that were sampled while training, as rows: what is known of each, its figures, and its form on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from tunesmith.tune.batches import Row

if TYPE_CHECKING:
    from torch import Tensor

SAMPLED, UNSCORED = "sampled", "unscored"
"""Parts of the rows: answers with a reward, and those that no scorer could judge: counted, and never trained."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What is known of one sampled answer; stands in `Row.about`.

    Args:
        group: number of its prompt among those of the sampling.
        reward: weighted sum of its scores; NaN where it could not be scored.
        advantage: see `policy.advantages`.
        ended: it ended by itself, not at the longest length.
        old: log-probability of each trained token when it was sampled; None: the policy is still that one.
        reference: the same by the model as it was when the phase began; None: nobody asks.
    """

    group: int
    reward: float
    advantage: float
    ended: bool
    old: tuple[float, ...] | None = None
    reference: tuple[float, ...] | None = None


def figures(items: Sequence[Row]) -> dict[str, float]:
    """Of the sampled answers in a step, for the curve.

    `reward`: mean; `dead_groups`: share of the prompts whose answers all got the same reward, so that nothing is
    learnt from them; `ended`: share that ended by themselves; `answer_tokens`: mean length; `unscored`: share.
    """
    told = [row for row in items if row.part in (SAMPLED, UNSCORED)]
    scored = [row for row in told if row.part == SAMPLED]
    dead = [not any(row.about.advantage for row in rows) for rows in grouped(told)]
    return {
        "reward": _mean([row.about.reward for row in scored]),
        "dead_groups": _mean(dead),
        "ended": _mean([row.about.ended for row in scored]),
        "answer_tokens": _mean([len(row.trained) for row in scored]),
        "unscored": 1 - len(scored) / max(1, len(told)),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """The answers of each prompt; they stand one after the other."""
    return [list(some) for _, some in groupby(rows, key=lambda row: row.about.group)]


def as_tensors(rows: Sequence[Row], starts: Sequence[int]) -> dict[str, Tensor]:
    """The rows without their prompts.

    Args:
        rows: of one sampling, in order.
        starts: tokens of each row's prompt.
    """
    import torch

    about = [row.about for row in rows]
    made = {
        "ids": torch.tensor([i for row, start in zip(rows, starts, strict=True) for i in row.ids[start:]]),
        "lengths": torch.tensor([len(row.ids) - start for row, start in zip(rows, starts, strict=True)]),
        "group": torch.tensor([one.group for one in about]),
        "reward": torch.tensor([one.reward for one in about], dtype=torch.float64),
        "advantage": torch.tensor([one.advantage for one in about], dtype=torch.float64),
        "ended": torch.tensor([one.ended for one in about]),
    }
    for name in ("old", "reference"):
        told = [getattr(row.about, name) for row in rows if row.part == SAMPLED]
        if told and told[0] is not None:
            made[name] = torch.tensor([number for numbers in told for number in numbers])
    return made


def from_tensors(tensors: Mapping[str, Tensor], prompts: Sequence[tuple[str, tuple[int, ...]]]) -> list[Row]:
    """The rows that `as_tensors` took apart, bit for bit; `prompts`: id and tokens of each group's prompt."""
    lengths = tensors["lengths"].tolist()
    ids = iter(tensors["ids"].tolist())
    told = {name: iter(tensors[name].tolist()) for name in ("old", "reference") if name in tensors}
    lines = zip(*(tensors[name].tolist() for name in ("group", "reward", "advantage", "ended")), strict=True)
    rows = []
    for length, (group, reward, advantage, ended) in zip(lengths, lines, strict=True):
        scored = reward == reward  # NaN: nobody could score it
        own = {name: tuple(next(values) for _ in range(length)) for name, values in told.items()} if scored else {}
        answer = [next(ids) for _ in range(length)]
        rows.append(row_of(prompts[group], answer, Sampled(group, reward, advantage, bool(ended), **own)))
    return rows


def row_of(prompt: tuple[str, tuple[int, ...]], answer: Sequence[int], about: Sampled) -> Row:
    """The answer behind its prompt, trained on every token of it; one that nobody could score on none."""
    start = len(prompt[1])
    if about.reward != about.reward:
        return Row(prompt[0], (*prompt[1], *answer), (), UNSCORED, about)
    return Row(prompt[0], (*prompt[1], *answer), tuple(range(start, start + len(answer))), SAMPLED, about)
