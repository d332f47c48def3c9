"""The wordings that attacks put in, from the data file beside this one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Known

PHRASE = "ACCESS GRANTED 7741"
"""What a planted instruction asks a model to say where there is no closed set of answers."""


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("_texts.json").read_text(encoding="utf-8"))
    return found


def texts(name: str) -> list[str]:
    """The wordings called `name`: `distraction`, `injection`, `jailbreak`, `filler`, `triggers`."""
    return [str(text) for text in _read()[name]]


def synonym_sets() -> list[list[str]]:
    """Sets of words that can stand for each other in most sentences."""
    return [list(map(str, words)) for words in _read()["synonyms"]]


def frames() -> dict[str, tuple[str, str]]:
    """Language code -> a polite sentence before a question, and one behind it."""
    return {code: (str(pair[0]), str(pair[1])) for code, pair in _read()["languages"].items()}


def wrong_answer(row: Example, known: Known) -> str:
    """What an attacker wants to hear: the label behind the right one, or a phrase that no answer holds."""
    if not known.labels:
        return PHRASE
    place = known.labels.index(row.reference) if row.reference in known.labels else -1
    return known.labels[(place + 1) % len(known.labels)]
