"""The one label of every row, how it came about, and the file that `data.sources` reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import atomic_file
from tunesmith.core.types import Example
from tunesmith.data.label.agreement import Agreement, agreement
from tunesmith.data.label.board import Board
from tunesmith.data.label.card import write_card
from tunesmith.data.label.merge import Method, merge

SURE = 0.8
"""Least probability at which Dawid and Skene's model settles a row on which people disagree."""


@dataclass(frozen=True)
class Settled:
    """What became of one row.

    Fields:
        row: its id.
        label: None where it is not settled.
        how: `adjudicated`, `unanimous`, `single` (one label only), `dawid_skene`, `majority`, `rule`; where it is not
            settled why: `disputed`, `skipped`, `not-labelled`.
        probability: what the model of annotators, or of rules, gives the label; None where nobody estimated it.
        agreement: share of people who said this label; None where none did.
        votes: person id -> label.
        by: ids of those whose word this is.
        at: when the last of it was said.
        round: the round that counts.
    """

    row: str
    label: str | None
    how: str
    probability: float | None = None
    agreement: float | None = None
    votes: Mapping[str, str] | None = None
    by: tuple[str, ...] = ()
    at: str = ""
    round: int | None = None


def settle(board: Board, *, method: Method = "dawid_skene", sure: float = SURE) -> list[Settled]:
    """Every row of the queue, in order, from closed rounds only.

    An adjudicator's word counts before any other; then what all people say; then `method` where they disagree; a rule's
    label only where nobody was asked.

    Args:
        board: the queue.
        method: how labels that differ are merged.
        sure: least probability that settles a row under `dawid_skene`; under `majority` more than half settle it.
    """
    votes = board.votes()
    merged = merge(votes, board.asked.labels, method=method)
    return [
        _settled(board, row, votes[row], merged[row].label, merged[row].probability, method, sure)
        if row in votes
        else _unlabelled(board, row)
        for row in board.rows
    ]


def _settled(
    board: Board, row: str, votes: Mapping[str, str], best: str | None, probability: float, method: Method, sure: float
) -> Settled:
    counted = board.settled_round(row)
    number = counted.number if counted else None
    answers = counted.answers[row] if counted else {}
    at = max(event.at for event in answers.values())
    if decision := board.decision(row):
        label = str(decision.body["label"])
        share = sum(v == label for v in votes.values()) / len(votes)
        return Settled(row, label, "adjudicated", None, share, votes, (decision.person,), decision.at, number)
    if len(set(votes.values())) == 1:
        label, how = next(iter(votes.values())), "unanimous" if len(votes) > 1 else "single"
    elif best is not None and (probability > 0.5 if method == "majority" else probability >= sure):
        label, how = best, method
    else:
        return Settled(row, None, "disputed", None, None, votes, (), at, number)
    share = sum(v == label for v in votes.values()) / len(votes)
    known = probability if label == best else None
    return Settled(row, label, how, known, share, votes, tuple(sorted(votes)), at, number)


def _unlabelled(board: Board, row: str) -> Settled:
    skipped = any(r.closed and r.answers.get(row) for r in board.rounds)
    rule = board.rules.get(row)
    if rule is None or skipped or not rule.body["sure"]:
        return Settled(row, None, "skipped" if skipped else "not-labelled")
    by = tuple(name for name, label in rule.body["votes"].items() if label == rule.body["label"])
    return Settled(row, str(rule.body["label"]), "rule", rule.body["probability"], None, {}, by, rule.at)


def measured(board: Board, *, resamples: int = 1000, seed: int = 0) -> Agreement:
    """Agreement in the first closed round of each row.

    Later rounds ask for rows that were picked because they look wrong, of people who may have seen them before; they
    say nothing about how far independent annotators agree.
    """
    first: dict[str, dict[str, str]] = {}
    for each in board.rounds:
        if each.closed:
            for row in each.rows:
                if row not in first and (votes := each.votes(row)):
                    first[row] = votes
    return agreement(first, board.asked.labels, scale=board.asked.scale, resamples=resamples, seed=seed)


def export(
    board: Board, examples: Mapping[str, Example], to: Path, *, method: Method = "dawid_skene", sure: float = SURE
) -> dict[str, Any]:
    """Write the settled rows as JSONL that `{use: conversations, target: target, group: group}` reads.

    Beside the conversation every row has `labels`: how it was settled, by whom (ids), when, in which round, with which
    probability and agreement, and what the rule and the model said. `FILE.agreement.json` keeps alpha for gate G1.

    Returns:
        Counts by how rows were settled and why others were not, the agreement, the file's digest.

    Raises:
        UserError: no row is settled.
    """
    rows = settle(board, method=method, sure=sure)
    counts = Counter(row.how for row in rows)
    kept = [row for row in rows if row.label is not None]
    if not kept:
        told = ", ".join(f"{why} {count:,}" for why, count in counts.most_common())
        hint = f"see how far it is: tunesmith label status PROJECT {board.name}"
        raise UserError(Problem("nothing-settled", f"no row is settled: {told}", hint, board.name))
    with atomic_file(to) as file:
        for row in kept:
            line = json.dumps(_line(board, examples[row.row], row), ensure_ascii=False, allow_nan=False)
            file.write(line.encode("utf-8", "replace") + b"\n")
    found = measured(board)
    digest = write_card(to, queue=board.name, found=found)
    left = {why: count for why, count in counts.items() if why in ("disputed", "skipped", "not-labelled")}
    how = {why: count for why, count in counts.items() if why not in left}
    return {
        "file": str(to),
        "digest": digest,
        "rows": len(kept),
        "left_out": len(rows) - len(kept),
        "settled": how,
        "not_settled": left,
        "agreement": asdict(found),
    }


def _line(board: Board, example: Example, settled: Settled) -> dict[str, Any]:
    rule, model = board.rules.get(settled.row), board.models.get(settled.row)
    turns = [turn.model_dump(mode="json", exclude_defaults=True) for turn in example.prompt]
    said = {name: event.body for name, event in (("rule", rule), ("model", model)) if event is not None}
    provenance = {
        "queue": board.name,
        "how": settled.how,
        "by": list(settled.by),
        "at": settled.at,
        "round": settled.round,
        "probability": settled.probability,
        "agreement": settled.agreement,
        "votes": dict(settled.votes or {}),
        **{name: {"label": body["label"], "probability": body.get("probability")} for name, body in said.items()},
    }
    return {
        **example.attributes,
        "id": example.id,
        "messages": [*turns, {"role": "assistant", "content": settled.label}],
        "target": settled.label,
        "group": example.group or example.id,
        "source": example.source,
        "place": example.place,
        "licence": example.licence,
        "labels": provenance,
    }


def gold(rows: Sequence[Settled]) -> dict[str, str]:
    """Row -> label of what people settled; what a rule said is no measure of rules."""
    return {row.row: row.label for row in rows if row.label is not None and row.how != "rule"}
