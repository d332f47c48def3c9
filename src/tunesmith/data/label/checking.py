"""What rules and models say of a queue's rows, written beside what people say; it never replaces theirs."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Answerer
from tunesmith.core.types import Message
from tunesmith.data.label.board import Board
from tunesmith.data.label.desk import Desk
from tunesmith.data.label.functions import Votes
from tunesmith.data.label.merge import Floats
from tunesmith.data.label.predictions import Prediction
from tunesmith.data.label.review import Suspicion
from tunesmith.data.label.settle import gold, settle
from tunesmith.records.labels import Draft

_ROWS_AT_ONCE = 32


def save_rules(
    desk: Desk, votes: Votes, probabilities_NK: Floats, *, threshold: float, trusted: bool
) -> dict[str, int]:
    """Keep what rules say of every row, with the probability; a row below `threshold` is for people.

    Args:
        desk: the queue.
        votes: what functions said.
        probabilities_NK: what they come to.
        threshold: least probability at which a rule's label stands without people.
        trusted: whether rules are as right as they say; if not, every row is for people.

    Returns:
        Rows that are `sure`, `unsure`, and `silent` (no function said anything).
    """
    labels = desk.board.asked.labels
    drafts, counts = list[Draft](), {"sure": 0, "unsure": 0, "silent": 0}
    for n, row in enumerate(votes.rows):
        said = {name: labels[k] for name, k in zip(votes.names, votes.votes_NM[n], strict=True) if k >= 0}
        top = None if np.isnan(probabilities_NK[n]).any() else int(probabilities_NK[n].argmax())
        probability = None if top is None else round(float(probabilities_NK[n, top]), 6)
        sure = trusted and probability is not None and probability >= threshold
        counts["silent" if top is None else "sure" if sure else "unsure"] += 1
        body = {
            "label": None if top is None else labels[top],
            "probability": probability,
            "sure": sure,
            "threshold": threshold,
            "votes": said,
        }
        drafts.append(Draft("rule", row, body))
    _write(desk, drafts)
    return counts


def flag_errors(desk: Desk, found: Sequence[Suspicion], *, model: str) -> None:
    """Put rows whose label looks wrong into the review, with rank and reason."""
    drafts = [
        Draft(
            "flag",
            each.row,
            {
                "why": "label-error",
                "rank": each.rank,
                "score": each.score,
                "label": each.label,
                "suggested": each.suggested,
                "model": model,
            },
        )
        for each in found
    ]
    _write(desk, drafts)


def consistency(desk: Desk, predictions: Mapping[str, Prediction], *, model: str) -> dict[str, Any]:
    """Compare a model's labels with those of people; rows that differ go to review, most confident first.

    Returns:
        Rows compared, rows that differ with both labels, rows that the model did not label.

    Raises:
        UserError: no row has been settled by people.
    """
    desk.refresh().need(desk.person, "manager")
    settled = gold(settle(desk.board))
    if not settled:
        hint = f"close a round first: tunesmith label close PROJECT {desk.queue}"
        raise UserError(Problem("nothing-settled", "no row has been settled by people yet", hint, desk.queue))
    compared = {row: predictions[row] for row in settled if row in predictions}
    differing = sorted(
        (row for row, said in compared.items() if said.label != settled[row]),
        key=lambda row: (-(compared[row].probability or 0.0), row),
    )
    drafts = [
        Draft("model", row, {"label": said.label, "probability": said.probability, "model": model})
        for row, said in compared.items()
    ]
    found = []
    for rank, row in enumerate(differing, start=1):
        said = compared[row]
        body = {"rank": rank, "score": said.probability, "label": settled[row], "suggested": said.label, "model": model}
        drafts.append(Draft("flag", row, {"why": "model-disagrees", **body}))
        found.append({"row": row, **body})
    _write(desk, drafts)
    same = len(compared) - len(differing)
    return {
        "model": model,
        "compared": len(compared),
        "agreeing": same,
        "share": same / len(compared) if compared else None,
        "without_prediction": len(settled) - len(compared),
        "differing": found,
    }


def ask_model(desk: Desk, answerer: Answerer, system: Sequence[Message]) -> tuple[dict[str, Prediction], int]:
    """What a model answers to every row that people settled, and how many answers were none of the labels.

    Args:
        desk: the queue.
        answerer: the model.
        system: put before rows that have no system turn of their own.
    """
    rows = list(gold(settle(desk.refresh())))
    labels = {_plain(label): label for label in desk.board.asked.labels}
    found, unreadable = dict[str, Prediction](), 0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = rows[start : start + _ROWS_AT_ONCE]
        asked = [_turns(desk.examples[row].prompt, system) for row in chunk]
        for row, answer in zip(chunk, answerer.answer(asked, at_most_tokens=32), strict=True):
            label = labels.get(_plain(answer.text))
            if label is None:
                unreadable += 1
            else:
                found[row] = Prediction(label, answer.confidence)
    return found, unreadable


def reviewed(board: Board) -> list[dict[str, Any]]:
    """The review: rows with every reason for which they are there, most suspicious first."""
    return [{"row": row, "reasons": [flag.body for flag in flags]} for row, flags in board.review()]


def described(reports: Sequence[Any]) -> list[dict[str, Any]]:
    """Function reports as JSON values."""
    return [{**asdict(report), "labels": list(report.labels)} for report in reports]


def _turns(prompt: Sequence[Message], system: Sequence[Message]) -> list[Message]:
    own = any(turn.role == "system" for turn in prompt)
    return [*([] if own else system), *prompt]


def _plain(text: str) -> str:
    return text.strip().strip(string.punctuation + "。！，").strip().casefold()


def _write(desk: Desk, drafts: Sequence[Draft]) -> None:
    def decide(board: Board) -> Sequence[Draft]:
        board.need(desk.person, "manager")
        return drafts

    desk.write(decide)
