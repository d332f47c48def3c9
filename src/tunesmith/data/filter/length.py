"""How long a row may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import is_word, said, words


@dataclass(frozen=True)
class Length:
    """Refuses rows that are too short or too long, over all their texts.

    Tokens are no unit here: gate G2 counts them with the model's own tokeniser, and no row is cut unseen.

    Args:
        at_least: fewer units refuse the row.
        at_most: more units refuse it; null: no limit.
        unit: `characters` without white space, or `words` (Chinese ones as jieba cuts them).
    """

    at_least: int = 1
    at_most: int | None = None
    unit: Literal["characters", "words"] = "characters"

    def judge(self, example: Example) -> Refusal | None:
        """`too-short` or `too-long`, with the length."""
        found = sum(_length(text, self.unit) for text in said(example))
        if found < self.at_least:
            return Refusal(reason="too-short", detail=f"{found} {self.unit}, at least {self.at_least}")
        if self.at_most is not None and found > self.at_most:
            return Refusal(reason="too-long", detail=f"{found} {self.unit}, at most {self.at_most}")
        return None


def _length(text: str, unit: str) -> int:
    if unit == "characters":
        return sum(map(len, text.split()))
    return sum(map(is_word, words(text)))
