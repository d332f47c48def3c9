"""Labels of a model out of a file: JSONL with `row` (or `id`), `label`, and optional probabilities."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._rows import rows

_MAX_BYTES = 10_000_000
_MOST_TOLD = 30


@dataclass(frozen=True)
class Prediction:
    """What a model says of a row: a label, its probability and those of all labels, where it gives them."""

    label: str
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)


def read_predictions(path: Path, labels: Sequence[str], known: Collection[str]) -> dict[str, Prediction]:
    """Row -> prediction; rows that the queue does not have are left out.

    A line is `{"row": ID, "label": LABEL}`, with `"probability": 0.9` or `"probabilities": {LABEL: 0.9, ...}`; where
    only the latter stands, the likeliest label is taken.

    Raises:
        UserError: the file cannot be used; every line that is no prediction (the first 30 are told); no row of it is
            in the queue.
    """
    if not path.is_file():
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path)))
    found, problems = dict[str, Prediction](), list[Problem]()
    for record in rows(path, path.name, max_bytes=_MAX_BYTES):
        if isinstance(record, Drop):
            problems.append(Problem(record.reason, record.detail, path=record.place))
            continue
        name = record.row.get("row", record.row.get("id"))
        made = _prediction(record.row, labels, record.place)
        if isinstance(made, Problem):
            problems.append(made)
        elif isinstance(name, str) and name in known:
            found[name] = made
    if not problems and not found:
        hint = "'row' is the id that `tunesmith label next --json` and exported rows have"
        problems = [Problem("no-rows", "no line is about a row of this queue", hint, str(path))]
    if problems:
        raise UserError(problems[:_MOST_TOLD])
    return found


def _prediction(row: dict[str, Any], labels: Sequence[str], place: str) -> Prediction | Problem:
    shares = row.get("probabilities") or {}
    if not isinstance(shares, dict) or not all(_is_share(v) for v in shares.values()):
        return Problem("wrong-value", "'probabilities' is an object of label -> number in [0, 1]", path=place)
    label = row.get("label", max(shares, key=lambda name: shares[name]) if shares else None)
    for name in (label, *shares):
        if name not in labels:
            hint = did_you_mean(name, labels) if isinstance(name, str) else "each line has a 'label'"
            return Problem("unknown-label", f"'{shorten(name, width=40)}' is not one of the labels", hint, place)
    probability = row.get("probability", shares.get(label))
    if probability is not None and not _is_share(probability):
        return Problem("wrong-value", "'probability' is a number in [0, 1]", path=place, value=shorten(probability))
    return Prediction(str(label), probability, {str(name): float(v) for name, v in shares.items()})


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0
