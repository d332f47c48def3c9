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
_LOOSE = re.compile(r"[-.,:](?!\d)")
"""A mark of `_NUMBER_MARKS` that belongs to no number."""

Pair = tuple[int, int, float]


def normalised(text: str) -> str:
    r"""`text` without case, accents on Latin letters, invisible characters, extra space and sentence punctuation.

    Punctuation that carries meaning stays: signs and separators before a digit (-3, 1.5) and any of % # @ & * / \.
    """
    try:
        plain = text.translate(_LOCAL)
    except _Depends:
        return _words(_folded(text))
    return " ".join(_LOOSE.sub(" ", plain).split())


def _folded(text: str) -> str:
    """Without case, accents on Latin letters and invisible characters."""
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
    return unicodedata.normalize("NFC", "".join(kept))


def _words(text: str) -> str:
    return " ".join(_MARK.sub(_mark, text).split())


def _mark(match: re.Match[str]) -> str:
    """A character that is neither letter, digit nor space: itself, or a space if it only structures a sentence."""
    mark = match.group()
    if not _structures(mark):
        return mark
    following = match.string[match.end() : match.end() + 1]
    return mark if mark in _NUMBER_MARKS and following.isdigit() else " "


def _structures(mark: str) -> bool:
    return unicodedata.category(mark)[0] == "P" and mark not in _KEPT_MARKS


class _Depends(Exception):
    """What a character becomes depends on its neighbours."""


class _Local(dict[int, str]):
    """Code point -> what it becomes wherever it stands, worked out when it is first met.

    So a text is looked at in one pass of `str.translate`. Marks and what combines with its neighbours (Hangul letters)
    have no such form; nor have digits that are no decimals (superscripts are, once folded).
    """

    def __missing__(self, point: int) -> str:
        character = chr(point)
        parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", character).casefold())
        joins = any("\u1100" <= part <= "\u11ff" for part in parts)
        marks = any(
            unicodedata.category(part)[0] == "M"
            for part in (character, unicodedata.normalize("NFKD", character)[0], *parts[:1])
        )
        folded = _folded(character)
        if joins or marks or any(c.isdigit() and not c.isdecimal() for c in folded):
            raise _Depends
        self[point] = plain = "".join(" " if _structures(c) and c not in _NUMBER_MARKS else c for c in folded)
        return plain


_LOCAL = _Local()


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
