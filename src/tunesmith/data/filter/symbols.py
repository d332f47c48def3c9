"""Texts that are mostly symbols."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import said

_USUAL = frozenset(".,;:!?'\"()-%/。，、；：！？（）“”‘’《》…—·")


@dataclass(frozen=True)
class Symbols:
    """Refuses rows with a text that is mostly special symbols: drawings, encoded bytes, torn tables.

    Special is every character but letters, marks, digits, white space and usual punctuation.

    Args:
        at_most: share of special symbols that is still let through (0.25, after the default recipes of data-juicer;
            Chen et al. 2024, arXiv:2309.02033).
        at_least_characters: shorter texts are not judged: `x = {y}` is no fault.
    """

    at_most: float = 0.25
    at_least_characters: int = 40

    def judge(self, example: Example) -> Refusal | None:
        """`too-many-symbols`, with the share."""
        for text in said(example):
            share = special_share(text)
            if len(text) >= self.at_least_characters and share > self.at_most:
                return Refusal(reason="too-many-symbols", detail=f"{share:.0%}, at most {self.at_most:.0%}")
        return None


def special_share(text: str) -> float:
    """Share of special symbols among the characters of `text`; 0 for an empty one."""
    return sum(times for c, times in Counter(text).items() if _special(c)) / len(text) if text else 0.0


@cache
def _special(character: str) -> bool:
    return unicodedata.category(character)[0] not in "LMNZ" and character not in _USUAL and not character.isspace()
