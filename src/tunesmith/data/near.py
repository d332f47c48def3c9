"""Which texts are nearly the same, in time and disk that grow with the texts and memory that hardly does.

Texts that share a signature (see `signatures`) are candidates, and every candidate is verified: its share is counted
from the grams themselves. Passes over the grams, which lie on disk: count what is boilerplate; where there are short
texts, count how rare their grams are; write signatures into buckets; bring together the texts of each bucket that share
one; verify.

What bounds the work: where more than `_NEXT` texts share a signature, each is compared with the first of them and with
its `_NEXT` neighbours, in the order of their smallest grams; all pairs are made only as long as they are few. So a
hundred thousand rows of one form, all near each other, are some millions of pairs and not five thousand million. What
that can miss: of such a crowd pairs are told that hold it together, not all. Two texts of a crowd that are near only
each other are missed where no signature of theirs is rarer and they are neighbours in none.

What grows with the texts in memory is 12 bytes a text, and 8 a candidate pair.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.grams import Grams, Hashes, Rows
from tunesmith.data.signatures import Counts, Mask, Plan, Signatures, signatures

__all__ = ["Mask", "Pairs", "near"]

_BOILERPLATE_SHARE, _BOILERPLATE_ROWS = 0.5, 100
_HELD, _BUCKETS = 4_000_000, 64
_NEXT, _AT_EASE = 16, 1_000_000
_STRETCH, _VERIFIED = 250_000, 1_000_000

Pairs = tuple[Rows, Rows, NDArray[np.float64]]


def near(
    grams: Grams,
    threshold: float,
    *,
    among: Mask,
    counted: Mask,
    general: Mask,
    held: int = _HELD,
) -> Pairs:
    """(I, J, Jaccard share) of pairs I < J with a share of at least `threshold`, ordered by I, then J.

    Every pair that is told is near. Told are all pairs of texts that are no crowd: those of short texts surely, others
    but for one in a million of those just at the threshold.

    Grams that stand in more than half of the 100 or more counted texts of a part are boilerplate (a template's fixed
    words) and do not count: else all rows of one template would look alike. A text of which nothing else is left has no
    near one. Six arguments, because three masks say three things of each text.

    Args:
        grams: of all texts.
        threshold: in (0, 1].
        among: texts that are compared.
        counted: texts among which boilerplate is looked for; `among` may hold one of equal texts only.
        general: which of the two parts of the data a text belongs to. Pairs are found across parts too.
        held: signatures that are held in memory; more of them are laid on disk, in buckets.
    """
    boilerplate = np.unique(np.concatenate([_boilerplate(grams, counted & part) for part in (general, ~general)]))
    texts = _Texts(grams, threshold, boilerplate, among)
    with ExitStack() as stack:
        buckets = _Buckets(stack, held)
        for found in texts.signatures():
            buckets.add(*found)
        codes = [_together(signature, of, texts) for signature, of in buckets.each()]
    return _verified(np.unique(np.concatenate(codes)), texts)


def _boilerplate(grams: Grams, rows: Mask) -> Hashes:
    """Grams that stand in more than half of the texts in `rows`, if these are many; counted exactly, ascending."""
    if rows.sum() < _BOILERPLATE_ROWS:
        return np.empty(0, np.uint64)
    limit = _BOILERPLATE_SHARE * int(rows.sum())
    counts = Counts.of(grams, rows)
    hot = counts.table > limit
    exact: dict[int, int] = {}
    for first, flat, sizes in grams.stretches(_STRETCH):
        kept = flat[hot[counts.places(flat)] & np.repeat(rows[first : first + len(sizes)], sizes)]
        for gram, count in zip(*(part.tolist() for part in np.unique(kept, return_counts=True)), strict=True):
            exact[gram] = exact.get(gram, 0) + count
    return np.array(sorted(gram for gram, count in exact.items() if count > limit), dtype=np.uint64)


@dataclass(frozen=True)
class _Texts:
    """The texts that are compared, and what is known of them.

    Fields:
        telling: how many grams a text has that are no boilerplate.
        smallest: of these the smallest hash, which near texts mostly share.
    """

    grams: Grams
    threshold: float
    boilerplate: Hashes
    among: Mask
    telling: NDArray[np.int32] = field(init=False)
    smallest: Hashes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "telling", np.zeros(self.grams.texts, dtype=np.int32))
        object.__setattr__(self, "smallest", np.zeros(self.grams.texts, dtype=np.uint64))

    def signatures(self) -> Iterator[Signatures]:
        """The signatures of all texts; fills the fields."""
        plan = Plan.of(self.threshold)
        counts = Counts.of(self.grams, self.among, most=plan.short + len(self.boilerplate))
        for first, flat, sizes in self.grams.stretches(_STRETCH):
            flat, owner = self._counting(flat, np.repeat(np.arange(len(sizes)), sizes), self.among[first:])
            telling = np.bincount(owner, minlength=len(sizes))
            self.telling[first : first + len(sizes)] = telling
            some = np.flatnonzero(telling)
            self.smallest[first + some] = flat[np.cumsum(telling)[some] - telling[some]]
            for signature, of in signatures(flat, telling, plan, counts):
                yield signature, first + of

    def _counting(self, flat: Hashes, owner: Rows, among: Mask) -> tuple[Hashes, Rows]:
        kept = _telling(flat, self.boilerplate) & among[owner]
        return (flat, owner) if kept.all() else (flat[kept], owner[kept])


def _telling(flat: Hashes, boilerplate: Hashes) -> Mask:
    """Which grams are no boilerplate."""
    if not len(boilerplate):
        return np.ones(len(flat), dtype=bool)
    place = np.minimum(np.searchsorted(boilerplate, flat), len(boilerplate) - 1)
    return np.asarray(boilerplate[place] != flat)


class _Buckets:
    """Signatures: in memory while they are few, else by their first bits in temporary files."""

    def __init__(self, stack: ExitStack, most: int) -> None:
        self._stack, self._most = stack, most
        self._files: list[tuple[BinaryIO, BinaryIO]] = []
        self._held: list[Signatures] = []
        self._count = 0

    def add(self, signature: Hashes, of: Rows) -> None:
        """Some more."""
        self._held.append((signature, of))
        self._count += len(signature)
        if self._count > self._most:
            self._lay_down()

    def each(self) -> Iterator[tuple[Hashes, Rows]]:
        """The signatures of each bucket, with their texts."""
        if not self._files:
            yield self._taken()
            return
        self._lay_down()
        for signatures_, texts in self._files:
            for file in (signatures_, texts):
                file.seek(0)
            yield np.frombuffer(signatures_.read(), np.uint64), np.frombuffer(texts.read(), np.uint32).astype(np.int64)

    def _taken(self) -> tuple[Hashes, Rows]:
        held, self._held, self._count = self._held, [], 0
        signature = np.concatenate([*(part for part, _ in held), np.empty(0, np.uint64)])
        return signature, np.concatenate([*(of for _, of in held), np.empty(0, np.int64)])

    def _lay_down(self) -> None:
        if not self._files:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tunesmith-near-")))
            for i in range(_BUCKETS):
                one, other = ((folder / f"{i}.{name}").open("w+b") for name in ("signatures", "texts"))
                self._files.append((self._stack.enter_context(one), self._stack.enter_context(other)))
        signature, of = self._taken()
        bucket = (signature >> np.uint64(64 - (_BUCKETS.bit_length() - 1))).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=_BUCKETS))[:-1]
        laid: list[list[NDArray[Any]]] = [np.split(part[order], ends) for part in (signature, of.astype(np.uint32))]
        for kind, parts in enumerate(laid):
            for files, part in zip(self._files, parts, strict=True):
                files[kind].write(part.tobytes())


def _together(signature: Hashes, of: Rows, texts: _Texts) -> Rows:
    """Pairs of texts that share a signature and whose sizes allow that they are near, each as I * texts + J, once."""
    order = np.argsort(signature, kind="stable")
    signature, of = signature[order], of[order]
    shared = np.zeros(len(signature) + 1, dtype=bool)
    shared[1:-1] = signature[1:] == signature[:-1]
    kept = shared[1:] | shared[:-1]
    signature, of = signature[kept], of[kept]
    order = np.lexsort((of, texts.smallest[of], signature))
    signature, of = signature[order], of[order]
    first = np.flatnonzero(np.concatenate([[True], signature[1:] != signature[:-1]])[: len(signature)])
    sizes = np.diff([*first, len(signature)])
    leaders = np.repeat(np.minimum.reduceat(of, first), sizes) if len(first) else of
    codes = [_codes(leaders, of, texts)]
    made, step = 0, 0
    while (step := step + 1) < sizes.max(initial=0) and (step <= _NEXT or made < _AT_EASE):
        beside = np.flatnonzero(signature[step:] == signature[:-step])
        codes.append(_codes(of[beside], of[beside + step], texts))
        made += len(beside)
    return np.unique(np.concatenate(codes))


def _codes(one: Rows, other: Rows, texts: _Texts) -> Rows:
    """Each pair as one number, the smaller text first; no text with itself, none with one that is too large for it."""
    less, more = np.sort(np.stack([texts.telling[one], texts.telling[other]]), axis=0)
    fits = (one != other) & (less >= texts.threshold * more - 1e-9)
    left, right = np.minimum(one, other)[fits], np.maximum(one, other)[fits]
    return np.unique(left * texts.grams.texts + right)


def _verified(codes: Rows, texts: _Texts) -> Pairs:
    """The pairs that are near, with their Jaccard share.

    Gram sets are rows of a sparse matrix whose columns are the hashes themselves: rows are ascending, so two of them
    are compared in one go through both, and no column needs a number.
    """
    from scipy.sparse import csr_matrix

    left, right = codes // max(1, texts.grams.texts), codes % max(1, texts.grams.texts)
    found: list[Pairs] = []
    sizes = texts.telling.astype(np.int64)
    for start, end in stretches(sizes[left] + sizes[right], _VERIFIED):
        one, other = left[start:end], right[start:end]
        numbers, row = np.unique(np.concatenate([one, other]), return_inverse=True)
        flat, _ = texts.grams.of(numbers)
        telling = _telling(flat, texts.boilerplate)
        ends = np.concatenate([[0], np.cumsum(sizes[numbers])])
        columns = (flat[telling] >> np.uint64(1)).astype(np.int64)
        parts: Any = (np.ones(len(columns), np.int8), columns, ends)
        matrix = csr_matrix(parts, shape=(len(numbers), np.iinfo(np.int64).max))
        met = matrix[row[: len(one)]].multiply(matrix[row[len(one) :]]).tocsr()
        shared = np.diff(met.indptr)
        share = shared / (sizes[one] + sizes[other] - shared)
        near = share >= texts.threshold
        found.append((one[near], other[near], share[near]))
    empty: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    one, other, share = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    return one, other, share


def stretches(weights: NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """(start, end) of stretches whose weights add up to little more than `most`; never an empty one."""
    ends = np.cumsum(weights, dtype=np.int64) // most
    borders = np.flatnonzero(np.diff(ends)) + 1
    if len(weights):
        yield from zip([0, *borders.tolist()], [*borders.tolist(), len(weights)], strict=True)
