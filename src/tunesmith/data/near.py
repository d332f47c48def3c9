"""Which texts are nearly the same: every pair, exactly, in memory that does not grow with the texts.

A prefix filter (Chaudhuri, Ganti, Kaushik 2006; Bayardo, Ma, Srikant 2007, "All-Pairs") proposes candidates and every
one of them is verified. Grams lie on disk, in blocks. Three passes over them: count, in a table of fixed size, how many
texts have a gram; write the rarest grams of every text, those that a near text must share one of, into buckets by gram;
compare within each bucket. The order of grams only decides how many candidates there are, so counts may be rough where
two grams share a place of the table; which pairs are near never depends on them.

What grows with the texts is some 20 bytes a text, and what is found: 24 bytes a near pair.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.grams import Grams, Hashes, Rows

_BOILERPLATE_SHARE, _BOILERPLATE_ROWS = 0.5, 100
_TABLE_BITS = (10, 22)
_BUCKET_HEADS = 4_000_000
_MOST_BUCKETS = 256
_CHUNK_PRODUCTS, _CHUNK_GRAMS = 1_000_000, 8_000_000
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HEAD = np.dtype([("gram", np.uint64), ("text", np.int64), ("first", np.bool_)])

Pairs = tuple[Rows, Rows, NDArray[np.float64]]
Mask = NDArray[np.bool_]


def near(
    grams: Grams,
    threshold: float,
    *,
    among: Mask,
    counted: Mask,
    general: Mask,
    bucket_heads: int = _BUCKET_HEADS,
) -> Pairs:
    """(I, J, Jaccard share) of all pairs I < J with a share of at least `threshold`, ordered by I, then J.

    Grams that stand in more than half of the 100 or more counted texts of a part are boilerplate (a template's fixed
    words) and do not count: else all rows of one template would look alike. A text of which nothing else is left has no
    near one. Six arguments, because three masks say three things of each text.

    Args:
        grams: of all texts.
        threshold: in (0, 1].
        among: texts that are compared.
        counted: texts among which boilerplate is looked for; `among` may hold one of equal texts only.
        general: which of the two parts of the data a text belongs to. Pairs are found across parts too.
        bucket_heads: heads that are compared at a time; more than all of them fit into memory are laid on disk.
    """
    table = _Table.of(grams, among)
    boilerplate = np.unique(np.concatenate([_boilerplate(grams, counted & part) for part in (general, ~general)]))
    sizes = np.zeros(grams.texts, dtype=np.int32)
    found: list[Pairs] = []
    with ExitStack() as stack:
        heads = _heads(grams, threshold, table=table, boilerplate=boilerplate, among=among, sizes=sizes)
        buckets = _Buckets.make(stack, round(grams.total * (1 - threshold)) + grams.texts, bucket_heads)
        for head in heads:
            buckets.add(head)
        for bucket in buckets.each():
            for left, right in _candidates(bucket, sizes, threshold):
                found += _verified(grams, left, right, threshold=threshold, boilerplate=boilerplate, sizes=sizes)
    return _sorted(found)


def _sorted(found: list[Pairs]) -> Pairs:
    """All pairs once, in order; several buckets may have found the same one."""
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    left, right, share = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((right, left))
    left, right, share = left[order], right[order], share[order]
    new = np.ones(len(left), dtype=bool)
    new[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[new], right[new], share[new]


@dataclass(frozen=True)
class _Table:
    """How many texts have a gram, roughly: grams that share a place of the table are counted together."""

    counts: NDArray[np.uint32]

    @classmethod
    def of(cls, grams: Grams, rows: Mask) -> _Table:
        """Counted over the texts in `rows`."""
        bits = min(max(_TABLE_BITS[0], int(grams.total * 4).bit_length()), _TABLE_BITS[1])
        counts = np.zeros(1 << bits, dtype=np.uint32)
        table = cls(counts)
        for first, flat, sizes in grams.each():
            kept = flat[np.repeat(rows[first : first + len(sizes)], sizes)]
            counts += np.bincount(table.places(kept), minlength=len(counts)).astype(np.uint32)
        return table

    def places(self, hashes: Hashes) -> NDArray[np.int64]:
        """Where each gram is counted."""
        shift = np.uint64(64 - (len(self.counts).bit_length() - 1))
        return ((hashes * _MIX) >> shift).astype(np.int64)


def _boilerplate(grams: Grams, rows: Mask) -> Hashes:
    """Grams that stand in more than half of the texts in `rows`, if these are many; counted exactly, ascending."""
    limit = _BOILERPLATE_SHARE * int(rows.sum())
    if rows.sum() < _BOILERPLATE_ROWS:
        return np.empty(0, np.uint64)
    table = _Table.of(grams, rows)
    hot = table.counts > limit
    exact: dict[int, int] = {}
    for first, flat, sizes in grams.each():
        kept = flat[np.repeat(rows[first : first + len(sizes)], sizes)]
        for gram, count in zip(*np.unique(kept[hot[table.places(kept)]], return_counts=True), strict=True):
            exact[int(gram)] = exact.get(int(gram), 0) + int(count)
    return np.array(sorted(gram for gram, count in exact.items() if count > limit), dtype=np.uint64)


def _telling(flat: Hashes, boilerplate: Hashes) -> Mask:
    """Which grams are no boilerplate."""
    if not len(boilerplate):
        return np.ones(len(flat), dtype=bool)
    place = np.minimum(np.searchsorted(boilerplate, flat), len(boilerplate) - 1)
    return np.asarray(boilerplate[place] != flat)


def _heads(
    grams: Grams, threshold: float, *, table: _Table, boilerplate: Hashes, among: Mask, sizes: NDArray[np.int32]
) -> Iterator[Any]:
    """Per block the (gram, text) pairs that must be met; fills `sizes` with the telling grams of each text.

    Jaccard >= t needs a shared part of at least t times the larger set; so of each text's n grams, in one order that is
    common to all texts, the first n - ceil(t n) + 1 must hold a shared one. Of the smaller set even the first
    n - ceil(2 t n / (1 + t)) + 1 must, which are marked `first`. The order is by count, rare ones first.
    """
    for first, flat, of_text in grams.each():
        owner = np.repeat(np.arange(len(of_text)), of_text)
        kept = among[first + owner] & _telling(flat, boilerplate)
        flat, owner = flat[kept], owner[kept]
        n = np.bincount(owner, minlength=len(of_text)).astype(np.int64)
        sizes[first : first + len(n)] = n
        order = np.argsort(_sort_keys(flat, owner, table.counts[table.places(flat)]), kind="stable")
        place = np.arange(len(flat)) - np.repeat(np.cumsum(n) - n, n)
        is_head = place < np.repeat(_prefix(n, threshold), n)
        taken = order[is_head]
        found = np.empty(len(taken), dtype=_HEAD)
        found["gram"], found["text"] = flat[taken], first + owner[taken]
        found["first"] = (place < np.repeat(_prefix(n, 2 * threshold / (1 + threshold)), n))[is_head]
        yield found


def _sort_keys(flat: Hashes, owner: Rows, count: NDArray[np.uint32]) -> Hashes:
    """One number a gram that sorts by text, count and hash; what its bits leave open, a stable order decides."""
    bits = max(1, int(owner[-1]).bit_length()) if len(owner) else 1
    rare = np.minimum(count, 0xFFFF).astype(np.uint64) << np.uint64(48 - bits)
    keys: Hashes = (owner.astype(np.uint64) << np.uint64(64 - bits)) | rare | (flat >> np.uint64(16 + bits))
    return keys


def _prefix(sizes: Rows, share: float) -> Rows:
    """How many of a text's grams must hold a shared one, when at least `share` of them are shared."""
    return np.where(sizes > 0, sizes - np.ceil(share * sizes - 1e-9).astype(np.int64) + 1, 0)


@dataclass
class _Buckets:
    """Heads by gram: in memory where one bucket is enough, else each bucket in a temporary file."""

    files: list[BinaryIO]
    held: list[Any]

    @classmethod
    def make(cls, stack: ExitStack, heads: int, bucket_heads: int) -> _Buckets:
        """As many buckets as that number of heads needs, a power of two."""
        wanted = min(_MOST_BUCKETS, 1 << max(0, math.ceil(math.log2(max(1, heads / bucket_heads)))))
        if wanted == 1:
            return cls([], [])
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tunesmith-near-")))
        return cls([stack.enter_context((folder / f"{i}").open("w+b")) for i in range(wanted)], [])

    def add(self, heads: Any) -> None:
        """Lay heads into their buckets."""
        if not self.files:
            self.held.append(heads)
            return
        bucket = (heads["gram"] >> np.uint64(64 - (len(self.files).bit_length() - 1))).astype(np.int64)
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=len(self.files)))
        for file, part in zip(self.files, np.split(heads[order], ends[:-1]), strict=True):
            file.write(part.tobytes())

    def each(self) -> Iterator[Any]:
        """The heads of each bucket."""
        if not self.files:
            yield np.concatenate([*self.held, np.empty(0, _HEAD)])
        for file in self.files:
            file.seek(0)
            yield np.frombuffer(file.read(), dtype=_HEAD)


def _candidates(heads: Any, sizes: NDArray[np.int32], threshold: float) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of texts that share one of these heads, of the smaller text a first one, and whose sizes allow it."""
    from scipy.sparse import csr_matrix

    if not len(heads):
        return
    texts, row = np.unique(heads["text"], return_inverse=True)
    grams, column = np.unique(heads["gram"], return_inverse=True)
    shape = (len(texts), len(grams))
    probed = csr_matrix((np.ones(len(heads), np.int32), (row, column)), shape=shape)
    first = heads["first"]
    indexed = csr_matrix((np.ones(int(first.sum()), np.int32), (column[first], row[first])), shape=shape[::-1])
    shared = np.asarray(probed @ np.diff(indexed.indptr)).ravel()
    for start, end in stretches(shared, _CHUNK_PRODUCTS):
        met = (probed[start:end] @ indexed).tocsr()
        large = texts[np.repeat(np.arange(start, end), np.diff(met.indptr))]
        small = texts[met.indices]
        less, more = sizes[small], sizes[large]
        fits = ((less < more) | ((less == more) & (small < large))) & (less >= threshold * more - 1e-9)
        small, large = small[fits], large[fits]
        yield np.minimum(small, large), np.maximum(small, large)


def _verified(
    grams: Grams, left: Rows, right: Rows, *, threshold: float, boilerplate: Hashes, sizes: NDArray[np.int32]
) -> list[Pairs]:
    """The candidates that are near, with their Jaccard share.

    Gram sets are rows of a sparse matrix whose columns are the hashes themselves: rows are ascending, so two of them
    are compared in one go through both, and no column needs a number.
    """
    from scipy.sparse import csr_matrix

    found: list[Pairs] = []
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    for start, end in stretches(sizes[left].astype(np.int64) + sizes[right], _CHUNK_GRAMS):
        one, other = left[start:end], right[start:end]
        texts, row = np.unique(np.concatenate([one, other]), return_inverse=True)
        flat, count = grams.of(texts)
        telling = _telling(flat, boilerplate)
        ends = np.cumsum(np.bincount(np.repeat(np.arange(len(texts)), count)[telling], minlength=len(texts)))
        columns = (flat[telling] >> np.uint64(1)).astype(np.int64)
        parts = (np.ones(len(columns), np.int8), columns, np.concatenate([[0], ends]))
        matrix = csr_matrix(parts, shape=(len(texts), np.iinfo(np.int64).max))
        met = matrix[row[: len(one)]].multiply(matrix[row[len(one) :]]).tocsr()
        shared = np.diff(met.indptr)
        share = shared / (sizes[one].astype(np.int64) + sizes[other] - shared)
        near = share >= threshold
        found.append((one[near], other[near], share[near]))
    return found


def stretches(weights: NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """(start, end) of stretches whose weights add up to little more than `most`; never an empty one."""
    ends = np.cumsum(weights, dtype=np.int64) // most
    borders = np.flatnonzero(np.diff(ends)) + 1
    yield from zip([0, *borders.tolist()], [*borders.tolist(), len(weights)], strict=True)
