"""Real texts of the data sets that lie beside the repository; tests that need them are skipped where they do not."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("TUNESMITH_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def path_of(name: str) -> Path:
    """The file `name`; skips the test where it is not there."""
    if not (FOLDER / name).exists():
        pytest.skip(f"needs {name} in {FOLDER} (TUNESMITH_SHARED_DATA names another folder)")
    return FOLDER / name


def rows_of(name: str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file or of a JSON list."""
    text = path_of(name).read_text(encoding="utf-8")
    return (
        json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.split("\n") if line.strip()]
    )


def joined(value: Any) -> str:
    """All strings in a JSON value, one a line."""
    if isinstance(value, dict):
        return "\n".join(joined(each) for each in value.values())
    return "\n".join(map(joined, value)) if isinstance(value, list) else str(value)


def gsm8k() -> list[str]:
    return [f"{row['question']}\n{row['answer']}" for row in rows_of("gsm8k/train.jsonl")]


def pubmedqa() -> list[tuple[str, str]]:
    """(question with its abstract, yes/no/maybe)."""
    rows = rows_of("pubmedqa/train.jsonl")
    return [(f"{row['QUESTION']}\n{' '.join(row['CONTEXTS'])}", row["final_decision"]) for row in rows]


def huatuo() -> list[tuple[str, str]]:
    """(question, answer), Chinese."""
    return [(row["instruction"], row["output"]) for row in rows_of("huatuo_zh/questions.jsonl")]


_CREDIT = (
    "checking account {0}, duration {1} months, credit history {2}, purpose {3}, amount {4} DM, savings {5}, "
    "employed {6}, rate {7} % of income, sex and status {8}, guarantor {9}, residence since {10}, property {11}, "
    "age {12}, other plans {13}, housing {14}, credits {15}, job {16}, dependants {17}, telephone {18}, foreign {19}"
)


def german_credit() -> list[tuple[str, str]]:
    """(the applicant in words and codes, good/bad)."""
    with path_of("german_credit/german.data").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=" "))
    return [(_CREDIT.format(*row), "good" if row[20] == "1" else "bad") for row in rows if len(row) > 20]
