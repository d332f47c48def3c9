"""Attack: what has worked before."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import resolve_under
from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened


@dataclass(frozen=True)
class Recorded:
    """Asks every attack of an earlier report again that worked on the same question: a regression test.

    Args:
        path: `attacks.jsonl` of a report, copied into the project folder.
        edits: always 1, one recorded attack.
        characters: longest question that is asked.
        queries: questions to the model for one row.
    """

    path: str
    edits: Annotated[int, Field(ge=1, le=1)] = 1
    characters: Annotated[int, Field(ge=1)] = 100_000
    queries: Annotated[int, Field(ge=1)] = 100

    level: ClassVar[Level] = "recorded"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`.

        Raises:
            UserError: the file cannot be read, or a line is no recorded attack; the lines are named.
        """
        recorded: defaultdict[str, list[Any]] = defaultdict(list)
        for record in recorded_lines(known.root, self.path):
            recorded[record["before"]].append(record)

        def edits(_row: Example, text: str) -> list[Edit]:
            return [
                Edit(int(start), int(end), str(new), str(demand))
                for record in recorded.get(text, [])
                for start, end, new, demand in [_one(text, record)]
            ]

        return edits


def recorded_lines(root: Path, name: str) -> list[dict[str, Any]]:
    """The attacks of a file `attacks.jsonl`.

    Raises:
        UserError: the file cannot be read, or a line is no recorded attack; the lines are named.
    """
    path = resolve_under(root, name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Problem("unreadable-file", f"no recorded attacks: {error}", path=name)) from None
    found, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            str(record["before"]) + str(record["after"])
            found.append(record)
        except (ValueError, KeyError, TypeError):
            problems.append(Problem("broken-attack", "not a recorded attack", "", name, number))
    if problems:
        raise UserError(problems)
    return found


def _one(text: str, record: dict[str, Any]) -> tuple[int, int, str, str]:
    """The recorded change as one edit: from the first to the last letter that differs."""
    after = record["after"]
    start = next((i for i, (a, b) in enumerate(zip(text, after, strict=False)) if a != b), min(len(text), len(after)))
    tail = 0
    while tail < min(len(text), len(after)) - start and text[-1 - tail] == after[-1 - tail]:
        tail += 1
    return start, len(text) - tail, after[start : len(after) - tail], record.get("demand", "")
