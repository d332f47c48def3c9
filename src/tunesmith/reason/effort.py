"""What more chains buy: stored chains of rows whose answer is known, answered by fewer of them, without the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.reason.chains import Chain
from tunesmith.reason.line import Line
from tunesmith.reason.replay import Question
from tunesmith.reason.stopping import winner

STEPS = (1, 2, 3, 5, 8, 12, 16, 24, 32, 40, 64, 100, 160, 250, 400, 640, 1000)
"""Numbers of chains that are tried, up to all that there are."""

FOLDS = 5
"""Each question is answered by what the questions of the other folds taught."""

Way = list[dict[str, Any]]


def effort(line: Line, questions: Sequence[Question]) -> dict[str, Any]:
    """Every number of chains replayed on questions with all their chains and their right conclusions.

    Returns:
        JSON values. `rows`; `ways`: name -> points with `chains`, and of each question whether it is `right` and its
        `tokens`. Names: `vote` (majority of the first n chains), `line` (fused, where the line has a fusion), `settled`
        (one point, chains as a mean: drawn until settled, where the line stops early). `settled`: in how many
        questions that answer is another one than that of all chains (`differ`).
    """
    most = max((len(question.chains) for question in questions), default=0)
    numbers = [*(step for step in STEPS if step < most), most] if most else []
    ways = {"vote": [_voted(questions, number) for number in numbers]}
    if line.fusion is not None:
        ways["line"] = [_fused(line, questions, number) for number in numbers]
    settled: dict[str, int] = {}
    if questions and line.paths.full() is not line.paths:
        point, settled["differ"] = _settled(line, questions)
        ways["settled"] = [point]
    return {"rows": len(questions), "ways": ways, "settled": settled}


def _voted(questions: Sequence[Question], number: int) -> dict[str, Any]:
    some = [question.chains[:number] for question in questions]
    return _point(questions, some, [winner([_vote(chain) for chain in chains]) for chains in some])


def _vote(chain: Chain) -> str | None:
    return None if chain.unscored else chain.conclusion


def _fused(line: Line, questions: Sequence[Question], number: int) -> dict[str, Any]:
    few = [question.model_copy(update={"chains": question.chains[:number]}) for question in questions]
    said: list[str | None] = [None] * len(few)
    for fold, fused in _folds(replace(line, paths=line.paths.full()), few):
        for n in fold:
            said[n] = fused.fuse(few[n].chains).conclusion
    return _point(few, [question.chains for question in few], said)


def _settled(line: Line, questions: Sequence[Question]) -> tuple[dict[str, Any], int]:
    """The point, and how many answers are other ones than those of all chains."""
    said: list[str | None] = [None] * len(questions)
    drawn: list[Sequence[Chain]] = [()] * len(questions)
    differ = 0
    for fold, taught in _folds(line, questions):
        for n in fold:
            chains = questions[n].chains
            drawn[n] = chains[: taught.paths.drawn(taught, chains)]
            said[n] = taught.fuse(drawn[n]).conclusion
            differ += said[n] != taught.fuse(chains).conclusion
    return _point(questions, drawn, said), differ


def _folds(line: Line, questions: Sequence[Question]) -> Iterator[tuple[range, Line]]:
    """The questions of each fold, and the line taught on those of the others."""
    for fold in range(min(FOLDS, len(questions))):
        others = [question for n, question in enumerate(questions) if n % FOLDS != fold]
        yield (
            range(fold, len(questions), FOLDS),
            line.taught([(question.chains, question.right or "") for question in others]),
        )


def _point(
    questions: Sequence[Question], chains: Sequence[Sequence[Chain]], said: Sequence[str | None]
) -> dict[str, Any]:
    right = [a is not None and a == question.right for a, question in zip(said, questions, strict=True)]
    mean = sum(map(len, chains)) / len(chains)
    return {
        "chains": int(mean) if mean == int(mean) else round(mean, 2),
        "right": right,
        "tokens": [sum(chain.tokens for chain in some) for some in chains],
    }
