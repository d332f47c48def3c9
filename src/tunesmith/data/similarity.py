"""When two texts are the same, and when they are nearly the same.

Same: equal after `normalised`. Nearly the same: Jaccard share of their sets of character 5-grams at or above a
threshold. How near pairs are found, and what that can miss, stands in `near` and `signatures`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from tunesmith.data.grams import Grams, grams_of
from tunesmith.data.near import near

_KEPT_MARKS = frozenset("%#@&*/\\")
_MARK = re.compile(r"[^\w\s]|_")
_NUMBER_MARKS = frozenset("-.,:")

Pair = tuple[int, int, float]


def normalised(text: str) -> str:
    r"""`text` without case, accents on Latin letters, invisible characters, extra space and sentence punctuation.

    Punctuation that carries meaning stays: signs and separators before a digit (-3, 1.5) and any of % # @ & * / \.
    """
    if text.isascii():
        return _words(text.lower())
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept: list[str] = []
    base_is_latin = False
    for character in decomposed:
        category = unicodedata.category(character)
        if category == "Cf" or (category == "Mn" and base_is_latin):
            continue
        if category != "Mn":
            base_is_latin = character < "\u0250" and category[0] == "L"
        kept.append(character)
    return _words(unicodedata.normalize("NFC", "".join(kept)))


def _words(text: str) -> str:
    return " ".join(_MARK.sub(_mark, text).split())


def _mark(match: re.Match[str]) -> str:
    """A character that is neither letter, digit nor space: itself, or a space if it only structures a sentence."""
    mark = match.group()
    if unicodedata.category(mark)[0] != "P" or mark in _KEPT_MARKS:
        return mark
    following = match.string[match.end() : match.end() + 1]
    return mark if mark in _NUMBER_MARKS and following.isdigit() else " "


def near_pairs(texts: Sequence[str], threshold: float, general: Sequence[bool] | None = None) -> Iterator[Pair]:
    """All pairs (i, j, Jaccard) of texts in memory with a Jaccard share of at least `threshold`; see `near.near`.

    Args:
        texts: normalised texts; empty ones have no near pair.
        threshold: in (0, 1].
        general: which of two parts of the data each text belongs to; None: there is one.
    """
    every = np.ones(len(texts), dtype=bool)
    part = ~every if general is None else np.array(general, dtype=bool)
    left, right, share = near(Grams([grams_of(texts)]), threshold, among=every, counted=every, general=part)
    yield from zip(left.tolist(), right.tolist(), share.tolist(), strict=True)
