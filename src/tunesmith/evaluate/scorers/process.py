"""Scorer: are the steps of the reference's procedure in the answer, and in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable

_LISTED = re.compile(
    r"^\s*(?:\(?\d+[.):、）]|step\s+\d+[.:]?|[-*•])\s*|第[一二三四五六七八九十]+步[:：，]?",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(r"(?<=[.!?;。！？；])\s*|\n+")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+")


@dataclass(frozen=True)
class Process:
    """Share of the reference's steps that the answer holds in the same order (process coverage).

    Steps are the items of a numbered or bulleted list, else the sentences. A step is met where the answer's step holds
    enough of its words; the longest run of met steps that keeps the order counts, so two steps that changed places cost
    one of them.

    Args:
        words: share of a step's words (in Chinese, characters) that must stand in the answer's step.
    """

    words: Annotated[float, Field(gt=0, le=1)] = 0.6

    def score(self, example: Example, answer: Answer) -> Score:
        """Share in [0, 1]; unscored where the answerer failed, or the reference has no steps."""
        if (no := incomparable(example, answer)) is not None:
            return no
        wanted = steps(example.reference)
        if not wanted:
            return Score(value=None, unscored="no-steps-in-reference")
        return Score(value=in_order(wanted, steps(answer.text), words=self.words) / len(wanted))


def steps(text: str) -> list[str]:
    """The items of the list that `text` holds, what stands before the first one left out; else its sentences."""
    items = [part for part in _LISTED.split(text)[1:] if part.strip()]
    found = items if len(items) > 1 else _SENTENCE.split(_LISTED.sub("", text))
    return [step.strip() for step in found if _WORD.search(step)]


def in_order(wanted: Sequence[str], given: Sequence[str], *, words: float) -> int:
    """The largest number of wanted steps that are met by given ones in the same order (longest common subsequence)."""
    best = [0] * (len(given) + 1)
    bags = [set(_WORD.findall(step.casefold())) for step in given]
    for step in wanted:
        asked = set(_WORD.findall(step.casefold()))
        row = [0]
        for place, bag in enumerate(bags):
            met = len(asked & bag) >= words * len(asked)
            row.append(max(best[place] + met, best[place + 1], row[place]))
        best = row
    return best[-1]
