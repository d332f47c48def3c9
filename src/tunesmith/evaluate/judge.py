"""A model as judge: which of two answers is better, asked in both orders, and held against people.

A judge prefers what it reads first, or last, more than it should (Zheng et al. 2023, arXiv:2306.05685): an answer wins
only if it wins in both places, all else is undecided. The judge's word is read from likelihoods, so nothing is parsed.
Without labels of people it is an opinion; with them the report shows how often it is theirs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.files import resolve_under
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Measure, Message
from tunesmith.evaluate.asking import ROWS_AT_ONCE, chunks
from tunesmith.evaluate.metric import mean_kernel
from tunesmith.evaluate.rows import Row, paired, read_lines
from tunesmith.evaluate.spec import JudgeSpec
from tunesmith.evaluate.statistics import Floats, Sampling, bootstrap_interval, share_interval, sign_flip_p

Winner = Literal["expert", "base", "undecided"]
_WORTH = {"expert": 1.0, "undecided": 0.5, "base": 0.0}
_OPTIONS = ("A", "B")
_WHERE = "evaluate.judge"


@dataclass(frozen=True)
class Judgement:
    """One pair of answers, judged.

    Args:
        id: of the row.
        cluster: rows of one cluster are not independent.
        winner: who wins in both orders; None: a likelihood was not finite, the pair is unscored.
        swayed: the order alone decided: in both orders the same place won.
    """

    id: str
    cluster: str
    winner: Winner | None
    swayed: bool = False


def open_judge(spec: JudgeSpec, root: Path, events: Events) -> AbstractContextManager[LikelihoodAnswerer]:
    """The judge's model, opened.

    Raises:
        UserError: it cannot be found or brought, or its folder is unsafe.
    """
    from tunesmith.models.answerer import open_model
    from tunesmith.models.load import resolve
    from tunesmith.models.spec import ModelSpec

    found = resolve(ModelSpec(use=str(spec.model)), root, events)
    return open_model(found.path, name=f"judge {spec.model}")


def judge_pairs(
    judge: LikelihoodAnswerer, expert: Sequence[Row], base: Sequence[Row], criteria: str
) -> list[Judgement]:
    """Every row that both answered, asked in both orders; equal answers are undecided without being asked."""
    ours, theirs = paired(expert, base)
    made: dict[str, Judgement] = {}
    asked = []
    for one, two in zip(ours, theirs, strict=True):
        if one.answer.text.strip() == two.answer.text.strip():
            made[one.example.id] = Judgement(one.example.id, one.cluster, "undecided")
        else:
            asked.append((one, two))
    for part in chunks(asked, ROWS_AT_ONCE // 2):
        questions = [question(a, b, criteria) for pair in part for a, b in (pair, pair[::-1])]
        leads = [_lead(row) for row in judge.likelihood(questions, [_OPTIONS] * len(questions))]
        for (one, _), first, second in zip(part, leads[::2], leads[1::2], strict=True):
            made[one.example.id] = _judged(one, first, second)
    return [made[row.example.id] for row in ours]


def question(first: Row, second: Row, criteria: str) -> tuple[Message, ...]:
    """What the judge reads: the question, the reference where there is one, both answers as A and B."""
    asked = "\n".join(m.content for m in first.example.prompt if m.role == "user")
    reference = f"\n\nReference answer:\n{first.example.reference}" if first.example.reference.strip() else ""
    text = (
        f"Two answers to one question are compared. {criteria}\n\nQuestion:\n{asked}{reference}\n\n"
        f"Answer A:\n{first.answer.text}\n\nAnswer B:\n{second.answer.text}\n\n"
        "Which answer is better? Say A or B and nothing else."
    )
    return (Message(role="user", content=text),)


def _lead(row: Sequence[Any]) -> float:
    """Nats that A is ahead of B; NaN where one of them is not finite."""
    one, two = (likelihood.log_probability for likelihood in row)
    return one - two if math.isfinite(one) and math.isfinite(two) else math.nan


def _judged(row: Row, expert_first: float, base_first: float) -> Judgement:
    if math.isnan(expert_first) or math.isnan(base_first):
        return Judgement(row.example.id, row.cluster, None)
    wins = (expert_first > 0, base_first < 0)
    winner: Winner = "expert" if all(wins) else "base" if not any(wins) else "undecided"
    return Judgement(row.example.id, row.cluster, winner, swayed=winner == "undecided")


# -- people -----------------------------------------------------------------------------------------------


def human_labels(path: str | None, root: Path) -> dict[str, Winner]:
    """What people said: row -> `expert`, `base` or `undecided`; empty without a file.

    Raises:
        UserError: the file is missing, or a line is not `{"id": ..., "winner": ...}`.
    """
    if path is None:
        return {}
    place = resolve_under(root, path)
    if not place.is_file():
        raise UserError(Problem("missing-file", f"'{path}' does not exist", "", f"{_WHERE}.human", value=path))
    try:
        found = {str(line["id"]): line["winner"] for line in read_lines(place)}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(Problem("bad-labels", f"'{path}': {error!r}", _FORM, f"{_WHERE}.human")) from None
    if strange := sorted({str(w) for w in found.values() if w not in _WORTH}):
        raise UserError(
            Problem("bad-labels", f"'{path}': winner {strange[0]!r} is not known", _FORM, f"{_WHERE}.human")
        )
    return found


_FORM = 'each line is {"id": "ex-...", "winner": "expert"}, or "base", or "undecided"'


def judge_measures(
    judged: Sequence[Judgement], human: Mapping[str, Winner], sampling: Sampling
) -> tuple[list[Measure], dict[str, Any]]:
    """`judge_wins`, `judge_consistency`, and `judge_agreement` with people; and the counts behind them.

    Wins: 1 where the expert wins, 0.5 undecided, 0 where the base wins; p tests 0.5. Consistency: pairs in which the
    order did not decide. Agreement: pairs with a person's word on which the judge says the same; Cohen's kappa is told.
    """
    known = [j for j in judged if j.winner is not None]
    lost = len(judged) - len(known)
    clusters = [j.cluster for j in known]
    counts = {"winners": dict(Counter(j.winner for j in known)), "unscored": lost, "kappa": None, "labelled": 0}
    if not known:
        empty = ("judge_wins", "judge_consistency", "judge_agreement")
        return [Measure(name=name, model="expert", value=None, n=0, unscored=lost) for name in empty], counts
    worth = np.array([_WORTH[j.winner or "undecided"] for j in known])
    wins = bootstrap_interval(mean_kernel(worth), clusters, sampling)
    p = sign_flip_p(worth - 0.5, clusters, seed=sampling.seed)
    about: dict[str, Any] = {"model": "expert", "level": sampling.level, "unscored": lost, "n": len(known)}
    steady = np.array([float(not j.swayed) for j in known])
    agreed, kappa, labelled = _agreement(known, human)
    made = [
        Measure(
            name="judge_wins", value=float(worth.mean()), low=wins.low, high=wins.high, p=p, method=wins.method, **about
        ),
        _share("judge_consistency", steady, clusters, sampling, about),
    ]
    if labelled:
        names = [j.cluster for j in known if j.id in human]
        made.append(_share("judge_agreement", agreed, names, sampling, {**about, "n": labelled, "unscored": 0}))
    else:
        made.append(
            Measure(name="judge_agreement", value=None, method="none: no labels of people", **{**about, "n": 0})
        )
    return made, {**counts, "kappa": kappa, "labelled": labelled}


def _share(name: str, values: Floats, clusters: Sequence[str], sampling: Sampling, about: dict[str, Any]) -> Measure:
    found = share_interval(values, clusters, level=sampling.level)
    return Measure(name=name, value=float(values.mean()), low=found.low, high=found.high, method=found.method, **about)


def _agreement(known: Sequence[Judgement], human: Mapping[str, Winner]) -> tuple[Floats, float | None, int]:
    pairs = [(j.winner, human[j.id]) for j in known if j.id in human]
    same = np.array([float(a == b) for a, b in pairs])
    if not pairs or len({word for pair in pairs for word in pair}) < 2:
        return same, None, len(pairs)
    from sklearn.metrics import cohen_kappa_score

    return same, float(cohen_kappa_score([a for a, _ in pairs], [b for _, b in pairs])), len(pairs)
