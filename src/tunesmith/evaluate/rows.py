"""A held-out row with an answer and what the scorers say of it; the form in which measures see the world."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.files import write_text
from tunesmith.core.types import Answer, Example, Score


@dataclass(frozen=True)
class Row:
    """One answered example.

    Args:
        example: the held-out row.
        answer: what one model said to it.
        scores: scorer name -> its word on the answer.
        expected: the label that the reference names; None without a closed set or where it names none.
        predicted: the label that the answer names; None without a closed set or where it is outside it.
    """

    example: Example
    answer: Answer
    scores: Mapping[str, Score] = field(default_factory=dict)
    expected: str | None = None
    predicted: str | None = None

    @property
    def cluster(self) -> str:
        """Rows of one cluster are not independent: the group where there is one, else the row itself."""
        return f"group:{self.example.group}" if self.example.group is not None else f"row:{self.example.id}"

    def in_slice(self, attribute: str, value: str) -> bool:
        """Whether the row belongs to `attribute=value`; the attribute `label` is the expected label."""
        return (self.expected if attribute == "label" else self.example.attributes.get(attribute)) == value


def in_slice(rows: Sequence[Row], name: str) -> list[Row]:
    """The rows of the slice `all` or `attribute=value`, in order."""
    if name == "all":
        return list(rows)
    attribute, _, value = name.partition("=")
    return [row for row in rows if row.in_slice(attribute, value)]


def paired(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of both that answer the same example, in the order of `first`."""
    by_id = {row.example.id: row for row in second}
    common = [row for row in first if row.example.id in by_id]
    return common, [by_id[row.example.id] for row in common]


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines in one step and return their number; NaN and infinity are refused (ValueError)."""
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON lines file that tunesmith wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
