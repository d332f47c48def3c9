"""Held-out questions that stand inside another row, or are asked there in other words.

All compare what the index has on disk, sets or vectors, through one product, a chunk of rows at a time, so memory does
not grow with the rows. What is found depends on the rows and their order alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.grams import Grams, Hashes, Rows
from tunesmith.data.index import Index
from tunesmith.data.near import Mask, stretches

_CHUNK_ROWS, _CHUNK_HASHES, _CHUNK_PRODUCTS = 20_000, 2_000_000, 20_000_000
_COMMON_SHARE, _COMMON_ROWS = 0.1, 100
_FEWEST_RUNS, _FEWEST_WORDS = 6, 6
_FEW_ROWS = 1000
"""Fewer rows weigh as if there were so many: what two of three rows have is no common word."""
_SAME_WORDS, _SAME_NUMBERS = 0.55, 0.5
_TABLE_BITS = 22
_MIX = np.uint64(0xD6E8FEB86659FD93)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alike:
    """Pairs of a held-out row and another row: at least the best one of either.

    Fields:
        held, other: numbers of rows, ordered by held-out row, best first.
        score: in (0, 1], see the functions that find them.
    """

    held: Rows
    other: Rows
    score: Floats

    @classmethod
    def of(cls, found: Iterable[tuple[Rows, Rows, Floats]]) -> Alike:
        """All of them."""
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
        held, other, score = (np.concatenate(parts) for parts in zip(none, *found, strict=True))
        order = np.lexsort((other, -score, held))
        return cls(held[order], other[order], score[order])


def contained(index: Index, *, held: Mask, others: Mask, share: float) -> Alike:
    """Held-out questions of whose runs of eight words at least `share` (the score) stand in one of the other rows.

    A question of fewer than six runs (13 words) is not looked for. Runs that stand in more than a tenth of 100 or more
    held-out questions are a template's words and do not count.

    Args:
        index: of all rows.
        held: held-out rows; of equal questions one is looked for.
        others: rows that must not hold them: everything said in them counts.
        share: in (0, 1].
    """
    texts = _firsts(index, held)
    if not len(texts):
        return Alike.of([])
    vocabulary, asked = _sets(index.grams["runs"], texts)
    telling = _uncommon(np.bincount(asked.indices, minlength=len(vocabulary)), len(texts))
    vocabulary, asked = vocabulary[telling], asked[:, telling]
    runs = np.diff(asked.indptr)
    turned = asked.T.tocsr()

    def found() -> Iterator[tuple[Rows, Rows, Floats]]:
        for numbers, flat, sizes in _chunks(index.grams["own_runs"], np.flatnonzero(others)):
            for first, said in _stretched(_known(flat, sizes, vocabulary), turned):
                met = (said @ turned).tocoo()
                part = met.data / runs[met.col]
                good = (part >= share - 1e-9) & (runs[met.col] >= _FEWEST_RUNS)
                yield _best(texts[met.col[good]], numbers[first + met.row[good]], part[good])

    return Alike.of(found())


def reworded(index: Index, *, held: Mask, others: Mask, cosine: float) -> Alike:
    """Held-out questions that one of the other rows asks in other words; the score is the cosine.

    Words weigh by how few of N (at least 1,000) rows have them, log((1 + N) / (1 + n)), and nothing where more than a
    tenth of 100 or more rows have them: what a template says is no sign. Two questions are alike when the cosine of
    their weights reaches `cosine` and 55 % of all their words (Dice) are common to both: a rare name alone is not
    enough. Where both have numbers, half of these must be common too: the same story with other numbers is another
    question. A question with fewer than six words that weigh is not looked for: nobody could tell its other wording
    from another question.

    Args:
        index: of all rows; words are counted in those that are still there.
        held: held-out rows; of equal questions one is looked for.
        others: rows that must not ask the same.
        cosine: in (0, 1].
    """
    words = index.grams["words"]
    texts = _firsts(index, held)
    if not len(texts):
        return Alike.of([])
    weights = _Weights.of(words, index.kept)
    vocabulary, asked = _sets(words, texts)
    idf = weights.idf(vocabulary)
    enough = np.asarray(asked @ (idf > 0).astype(np.float64)).ravel() >= _FEWEST_WORDS
    sizes, is_number, every = np.diff(asked.indptr), _numbers(vocabulary), np.ones(len(vocabulary))
    asked_numbers = asked @ is_number
    turned = _scaled(asked, idf, _norms(asked, idf)).T.tocsr()
    turned.eliminate_zeros()

    def found() -> Iterator[tuple[Rows, Rows, Floats]]:
        for numbers, flat, own_sizes in _chunks(words, _firsts(index, others)):
            known = _known(flat, own_sizes, vocabulary)
            norms = _row_sums(weights.idf(flat) ** 2, own_sizes) ** 0.5
            own_numbers = _row_sums(_numbers(flat), own_sizes)
            for first, part in _stretched(_scaled(known, idf, norms), turned):
                met = (part @ turned).tocoo()
                good = (met.data >= cosine - 1e-9) & enough[met.col]
                row, column, score = first + met.row[good], met.col[good], np.minimum(met.data[good], 1.0)
                both = known[row].multiply(asked[column])
                same = 2 * both @ every >= _SAME_WORDS * (own_sizes[row] + sizes[column])
                same &= _numbers_agree(both @ is_number, own_numbers[row], asked_numbers[column])
                yield _best(texts[column[same]], numbers[row[same]], score[same])

    return Alike.of(found())


def same_meaning(index: Index, *, held: Mask, others: Mask, cosine: float) -> Alike:
    """Held-out questions whose vector has at least `cosine` (the score, to four digits) with one of the other rows'.

    Where both have numbers, half of these must be common, as in `reworded`. Rows without a vector are not looked for.

    Args:
        index: of all rows, with vectors.
        held: held-out rows; of equal questions one is looked for.
        others: rows that must not ask the same.
        cosine: in (0, 1].
    """
    if index.vectors is None:
        raise ValueError("this index was made without vectors")
    vectors, words = index.vectors, index.grams["words"]
    texts, rows = _firsts(index, held), _firsts(index, others)
    vocabulary, asked = _sets(words, texts)
    is_number = _numbers(vocabulary) > 0
    vocabulary, asked = vocabulary[is_number], asked[:, is_number]
    asked_numbers, turned = np.diff(asked.indptr), vectors.of(texts).T
    step = max(1, _CHUNK_PRODUCTS // max(1, len(texts)))

    def found() -> Iterator[tuple[Rows, Rows, Floats]]:
        for start in range(0, len(rows), step):
            numbers = rows[start : start + step]
            cosines = np.round(vectors.of(numbers) @ turned, 4).astype(np.float64)
            row, column = np.nonzero(cosines >= cosine)
            flat, sizes = words.of(numbers)
            known, own_numbers = _known(flat, sizes, vocabulary), _row_sums(_numbers(flat), sizes)
            common = np.asarray(known[row].multiply(asked[column]).sum(axis=1)).ravel()
            same = _numbers_agree(common, own_numbers[row], asked_numbers[column])
            score = np.minimum(cosines[row, column], 1.0)
            yield _best(texts[column[same]], numbers[row[same]], score[same])

    return Alike.of(found())


def _numbers_agree(common: NDArray[Any], one: NDArray[Any], other: NDArray[Any]) -> Mask:
    """Whether half of the numbers of two texts (Dice) are common, or one of them has none."""
    return np.asarray((2 * common >= _SAME_NUMBERS * (one + other)) | (one * other == 0))


@dataclass(frozen=True)
class _Weights:
    """How much a word tells. Words that share a place of the table are counted together, which is rare."""

    counts: NDArray[np.uint32]
    rows: int

    @classmethod
    def of(cls, words: Grams, rows: Mask) -> _Weights:
        """Counted over the rows of a mask."""
        counts = np.zeros(1 << _TABLE_BITS, dtype=np.uint32)
        asked = 0
        for first, flat, sizes in words.each():
            there = rows[first : first + len(sizes)]
            np.add.at(counts, cls._places(flat[np.repeat(there, sizes)]), 1)
            asked += int((there & (sizes > 0)).sum())
        return cls(counts, asked)

    def idf(self, words: Hashes) -> Floats:
        """The weight of each word."""
        counts = self.counts[self._places(words)]
        weight = np.log((1 + max(self.rows, _FEW_ROWS)) / (1.0 + counts))
        return np.where(_uncommon(counts, self.rows), np.maximum(weight, 0.0), 0.0)

    @staticmethod
    def _places(words: Hashes) -> NDArray[np.int64]:
        return ((words * _MIX) >> np.uint64(64 - _TABLE_BITS)).astype(np.int64)


def _uncommon(counts: NDArray[Any], rows: int) -> Mask:
    """Which of the things that so many of `rows` rows have are no template's."""
    return np.asarray(counts <= _COMMON_SHARE * rows) if rows >= _COMMON_ROWS else np.ones(len(counts), dtype=bool)


def _firsts(index: Index, rows: Mask) -> Rows:
    """Of the rows of a mask that ask something the first of each question."""
    return np.flatnonzero(index.classes("asked", among=rows) == np.arange(len(index.rows)))


def _sets(grams: Grams, rows: Rows) -> tuple[Hashes, Any]:
    """All hashes that these rows have, ascending, and which row has which as a matrix of ones."""
    flat, sizes = grams.of(rows)
    vocabulary = np.unique(flat)
    return vocabulary, _known(flat, sizes, vocabulary)


def _known(flat: Hashes, sizes: NDArray[Any], vocabulary: Hashes) -> Any:
    """Which row has which hash of the vocabulary, as a sparse matrix of ones; other hashes are left out."""
    from scipy.sparse import csr_matrix

    place = np.minimum(np.searchsorted(vocabulary, flat), max(0, len(vocabulary) - 1))
    known = vocabulary[place] == flat if len(vocabulary) else np.zeros(len(flat), dtype=bool)
    ends = np.cumsum(_row_sums(known.astype(np.float64), sizes)).astype(np.int64)
    parts = (np.ones(int(known.sum())), place[known], np.concatenate([[0], ends]))
    return csr_matrix(parts, shape=(len(sizes), len(vocabulary)))


def _row_sums(values: NDArray[Any], sizes: NDArray[Any]) -> Floats:
    """The sum of the values of each row, rows lying one after the other."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    sums: Floats = np.bincount(owner, weights=values, minlength=len(sizes)).astype(np.float64)
    return sums


def _numbers(words: Hashes) -> Floats:
    """1 where a word is a number."""
    return (words & np.uint64(1)).astype(np.float64)


def _norms(sets: Any, idf: Floats) -> Floats:
    return np.asarray(sets @ idf**2).ravel() ** 0.5


def _scaled(sets: Any, idf: Floats, norms: Floats) -> Any:
    """The rows of a matrix of ones weighed and made unit length; a row without weight becomes empty."""
    from scipy.sparse import diags

    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    scaled = (diags(scale) @ sets @ diags(idf)).tocsr()
    scaled.eliminate_zeros()
    return scaled


def _chunks(grams: Grams, rows: Rows) -> Iterator[tuple[Rows, Hashes, NDArray[Any]]]:
    """(row numbers, their hashes, how many each has), some thousand rows at a time, fewer where they are long."""
    sizes = np.concatenate([np.empty(0, np.int64), *(sizes for _, sizes in grams.blocks)])[rows]
    for start, end in stretches(sizes + _CHUNK_HASHES // _CHUNK_ROWS, _CHUNK_HASHES):
        numbers = rows[start:end]
        yield (numbers, *grams.of(numbers))


def _stretched(left: Any, right: Any) -> Iterator[tuple[int, Any]]:
    """(number of the first row, rows) of stretches of a matrix whose product with `right` is bounded."""
    if left.shape[0] and left.nnz:
        for start, end in stretches(
            np.asarray((left != 0).astype(np.int64) @ np.diff(right.indptr)).ravel(), _CHUNK_PRODUCTS
        ):
            yield start, left[start:end]


def _best(held: Rows, other: Rows, score: Floats) -> tuple[Rows, Rows, Floats]:
    """Of these pairs the best one of each row on either side; of equally good ones the one with the lowest numbers."""
    taken = np.zeros(len(held), dtype=bool)
    for side, further in ((held, other), (other, held)):
        order = np.lexsort((further, -score, side))
        first = np.ones(len(order), dtype=bool)
        first[1:] = side[order][1:] != side[order][:-1]
        taken[order[first]] = True
    return held[taken], other[taken], score[taken]
