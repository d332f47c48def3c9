"""Rows of public data sets with the task that one reader gave them, before the classifier had seen them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.types import Example, Message

GOLD = Path(__file__).parent / "data" / "gold" / "task_labels.jsonl"


@dataclass(frozen=True)
class Labelled:
    """One row of the gold set: `task` is the first choice of the reader, `also` what is right as well.

    Set 1 was labelled before the classifier had seen it, and rules were mended on its errors afterwards; set 2 was
    drawn and labelled after that, and no rule was changed since.
    """

    file: str
    row: int
    language: str
    task: str
    also: tuple[str, ...]
    set: int

    def example(self, rows: list[dict[str, Any]]) -> Example:
        """The row as a project has it: a question with its input, options or table, and the answer."""
        question, answer = _said(self.file, rows[self.row])
        messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
        return Example(id=f"{self.file}:{self.row}", messages=messages)


def labelled() -> list[Labelled]:
    found = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    return [Labelled(**{**item, "also": tuple(item["also"])}) for item in found]


def _said(file: str, row: dict[str, Any]) -> tuple[str, str]:
    if file.startswith("medqa"):
        options = "\n".join(f"{letter}. {text}" for letter, text in row["options"].items())
        return f"{row['question']}\n{options}", row["answer_idx"]
    if file.startswith("pubmedqa"):
        return f"{row['QUESTION']}\n{' '.join(row['CONTEXTS'])}", row["final_decision"]
    if file.startswith("tatqa"):
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in row["table"]["table"])
        return f"{table}\n{row['questions'][0]['question']}", str(row["questions"][0]["answer"])
    if file.startswith("gsm8k"):
        return row["question"], row["answer"]
    return f"{row['instruction']}\n{row['input']}".strip(), row["output"]
