"""Which texts are nearly the same, in time and disk that grow with the texts and memory that hardly does.

Texts that share a signature (see `signatures`) are candidates, and every candidate is verified: its share is counted
from the grams themselves. The work goes over the grams, which lie on disk: count what is boilerplate; where there are
short texts, count how rare their grams are; block by block, lay the signatures into buckets; bucket by bucket, bring
together the texts that share one; verify, a stretch of pairs at a time. Blocks, buckets and stretches are shards for an
`Executor`, and depend on the texts alone: whoever works on them, the pairs are the same.

What bounds the work: where more than `_NEXT` texts share a signature, each is compared with the first of them and with
its `_NEXT` neighbours, in the order of their smallest grams; all pairs are made only as long as they are few. So a
hundred thousand rows of one form, all near each other, are some millions of pairs and not five thousand million. What
that can miss: of such a crowd pairs are told that hold it together, not all. Two texts of a crowd that are near only
each other are missed where no signature of theirs is rarer and they are neighbours in none.

What grows with the texts in memory is 12 bytes a text, and 8 a candidate pair; on disk, 1 to 3 bytes a letter while it
lasts, up to 14 where rows are of some 100 letters.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.protocols import Executor, Here
from tunesmith.data.grams import Grams, Hashes, Rows
from tunesmith.data.signatures import Counts, Mask, Plan, signatures

__all__ = ["Mask", "Pairs", "near", "stretches"]

_BOILERPLATE_SHARE, _BOILERPLATE_ROWS = 0.5, 100
_BUCKET_GRAMS, _MOST_BUCKETS = 4_000_000, 256
_NEXT, _AT_EASE = 16, 1_000_000
_STRETCH, _VERIFIED = 250_000, 1_000_000
_WORTH_SENDING = 20_000_000
"""Grams from which on other processes are asked: below that, starting them takes longer than the work."""
_SMALL = 100_000
"""Bytes of a file that is read at once; an empty one cannot be mapped."""
_HERE = Here()

Pairs = tuple[Rows, Rows, NDArray[np.float64]]


def near(
    grams: Grams,
    threshold: float,
    *,
    among: Mask,
    counted: Mask,
    general: Mask,
    executor: Executor = _HERE,
    folder: Path | None = None,
) -> Pairs:
    """(I, J, Jaccard share) of pairs I < J with a share of at least `threshold`, ordered by I, then J.

    Every pair that is told is near. Told are all pairs of texts that are no crowd: those of short texts surely, others
    but for one in a million of those just at the threshold.

    Grams that stand in more than half of the 100 or more counted texts of a part are boilerplate (a template's fixed
    words) and do not count: else all rows of one template would look alike. A text of which nothing else is left has no
    near one. Seven arguments, because three masks say three things of each text.

    Args:
        grams: of all texts.
        threshold: in (0, 1].
        among: texts that are compared.
        counted: texts among which boilerplate is looked for; `among` may hold one of equal texts only.
        general: which of the two parts of the data a text belongs to. Pairs are found across parts too.
        executor: where the work is done, where there is much of it; the grams should lie on disk then.
        folder: where what is laid on disk lies, which all workers must see; None: a folder of this machine.
    """
    boilerplate = np.unique(np.concatenate([_boilerplate(grams, counted & part) for part in (general, ~general)]))
    executor = executor if grams.total >= _WORTH_SENDING else _HERE
    with tempfile.TemporaryDirectory(prefix="near-", dir=folder) as place:
        work = _Work(Path(place), grams, threshold, boilerplate)
        most = Plan.of(threshold).short + len(boilerplate)
        work.lay("among", among)
        work.lay("counts", Counts.of(grams, among, most=most).table)
        facts = list(executor.map(partial(_sign, work), range(len(grams.blocks))))
        none: list[Any] = [(np.empty(0, np.int32), np.empty(0, np.uint64))]
        for name, parts in zip(("telling", "smallest"), zip(*none, *facts, strict=True), strict=True):
            work.lay(name, np.concatenate(parts))
        codes = list(executor.map(partial(_together, work), range(work.buckets)))
        work.lay("codes", np.unique(np.concatenate([np.empty(0, np.int64), *codes])))
        found = list(executor.map(partial(_verified, work), work.stretches()))
    empty: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    one, other, share = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    return one, other, share


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
class _Work:
    """What every part of the work must know; arrays of all texts lie in the folder.

    Files: `among`, `counts` (see `Counts`); per block `signatures-N`, `texts-N`, in the order of the buckets, and
    `ends-N` of these; `telling`: how many grams a text has that are no boilerplate, `smallest`: the smallest of them,
    which near texts mostly share; `codes`: candidate pairs, each as I * texts + J.
    """

    folder: Path
    grams: Grams
    threshold: float
    boilerplate: Hashes

    @property
    def buckets(self) -> int:
        """A power of two."""
        wanted = min(_MOST_BUCKETS, -(-self.grams.total // _BUCKET_GRAMS))
        return 1 << max(0, wanted - 1).bit_length()

    def lay(self, name: str, array: NDArray[Any]) -> None:
        """Write an array."""
        np.save(self.folder / f"{name}.npy", array, allow_pickle=False)

    def laid(self, name: str) -> Any:
        """An array that was laid down; read as it is used."""
        path = self.folder / f"{name}.npy"
        mapped = np.load(path, allow_pickle=False, mmap_mode="r") if path.stat().st_size > _SMALL else None
        return np.load(path, allow_pickle=False) if mapped is None else mapped

    def stretches(self) -> Iterator[tuple[int, int]]:
        """(start, end) of stretches of the candidate pairs that are verified at a time."""
        codes, sizes = self.laid("codes"), self.laid("telling").astype(np.int64)
        texts = max(1, self.grams.texts)
        return stretches(sizes[codes // texts] + sizes[codes % texts], _VERIFIED)


def _sign(work: _Work, block: int) -> tuple[NDArray[np.int32], Hashes]:
    """Lay down the signatures of one block; gives `telling` and `smallest` of its texts."""
    plan, counts, among = Plan.of(work.threshold), Counts(work.laid("counts")), work.laid("among")
    telling = np.zeros(len(work.grams.blocks[block][1]), dtype=np.int32)
    smallest = np.zeros(len(telling), dtype=np.uint64)
    found: list[Any] = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    begin = int(work.grams.firsts[block])
    for first, flat, sizes in work.grams.stretches(_STRETCH, blocks=[block]):
        owner = np.repeat(np.arange(len(sizes)), sizes)
        kept = _telling(flat, work.boilerplate) & among[first + owner]
        flat, owner = (flat, owner) if kept.all() else (flat[kept], owner[kept])
        count = np.bincount(owner, minlength=len(sizes))
        here = slice(first - begin, first - begin + len(sizes))
        telling[here] = count
        some = np.flatnonzero(count)
        smallest[here][some] = flat[np.cumsum(count)[some] - count[some]]
        found += [(signature, first + of) for signature, of in signatures(flat, count, plan, counts)]
    signature, of = (np.concatenate(parts) for parts in zip(*found, strict=True))
    bits = work.buckets.bit_length() - 1
    bucket = (signature >> np.uint64(64 - bits)).astype(np.uint8) if bits else np.zeros(len(signature), np.uint8)
    order = np.argsort(bucket, kind="stable")
    work.lay(f"signatures-{block}", signature[order])
    work.lay(f"texts-{block}", of[order].astype(np.uint32))
    work.lay(f"ends-{block}", np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=work.buckets))]))
    return telling, smallest


def _telling(flat: Hashes, boilerplate: Hashes) -> Mask:
    """Which grams are no boilerplate."""
    if not len(boilerplate):
        return np.ones(len(flat), dtype=bool)
    place = np.minimum(np.searchsorted(boilerplate, flat), len(boilerplate) - 1)
    return np.asarray(boilerplate[place] != flat)


def _together(work: _Work, bucket: int) -> Rows:
    """Pairs of texts that share a signature of this bucket and whose sizes allow that they are near, each once."""
    signature, of = _shared(*_of_bucket(work, bucket))
    telling, smallest = work.laid("telling"), work.laid("smallest")
    order = np.lexsort((of, smallest[of], signature))
    signature, of = signature[order], of[order]
    first = np.flatnonzero(np.concatenate([[True], signature[1:] != signature[:-1]])[: len(signature)])
    sizes = np.diff([*first, len(signature)])
    leaders = np.repeat(np.minimum.reduceat(of, first), sizes) if len(first) else of
    codes = [_codes(work, telling, leaders, of)]
    made, step = 0, 0
    while (step := step + 1) < sizes.max(initial=0) and (step <= _NEXT or made < _AT_EASE):
        beside = np.flatnonzero(signature[step:] == signature[:-step])
        codes.append(_codes(work, telling, of[beside], of[beside + step]))
        made += len(beside)
    return np.unique(np.concatenate(codes))


def _of_bucket(work: _Work, bucket: int) -> tuple[Hashes, Rows]:
    """The signatures of one bucket, of all blocks, with their texts."""
    found: list[Any] = [(np.empty(0, np.uint64), np.empty(0, np.uint32))]
    for block in range(len(work.grams.blocks)):
        begin, end = work.laid(f"ends-{block}")[bucket : bucket + 2].tolist()
        if begin < end:
            found.append(tuple(work.laid(f"{name}-{block}")[begin:end] for name in ("signatures", "texts")))
    signature, of = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return signature, of.astype(np.int64)


def _shared(signature: Hashes, of: Rows) -> tuple[Hashes, Rows]:
    """Signatures that more than one text has, ascending."""
    order = np.argsort(signature, kind="stable")
    signature, of = signature[order], of[order]
    same = np.zeros(len(signature) + 1, dtype=bool)
    same[1:-1] = signature[1:] == signature[:-1]
    kept = same[1:] | same[:-1]
    return signature[kept], of[kept]


def _codes(work: _Work, telling: NDArray[np.int32], one: Rows, other: Rows) -> Rows:
    """Each pair as one number, the smaller text first; no text with itself, none with one that is too large for it."""
    less, more = np.sort(np.stack([telling[one], telling[other]]), axis=0)
    fits = (one != other) & (less >= work.threshold * more - 1e-9)
    left, right = np.minimum(one, other)[fits], np.maximum(one, other)[fits]
    return np.unique(left * work.grams.texts + right)


def _verified(work: _Work, stretch: tuple[int, int]) -> Pairs:
    """The pairs of a stretch that are near, with their Jaccard share.

    Gram sets are rows of a sparse matrix whose columns are the hashes themselves: rows are ascending, so two of them
    are compared in one go through both, and no column needs a number.
    """
    from scipy.sparse import csr_matrix

    codes, sizes = work.laid("codes")[slice(*stretch)], work.laid("telling").astype(np.int64)
    one, other = codes // work.grams.texts, codes % work.grams.texts
    numbers, row = np.unique(np.concatenate([one, other]), return_inverse=True)
    flat, _ = work.grams.of(numbers)
    telling = _telling(flat, work.boilerplate)
    ends = np.concatenate([[0], np.cumsum(sizes[numbers])])
    columns = (flat[telling] >> np.uint64(1)).astype(np.int64)
    parts: Any = (np.ones(len(columns), np.int8), columns, ends)
    matrix = csr_matrix(parts, shape=(len(numbers), np.iinfo(np.int64).max))
    met = matrix[row[: len(one)]].multiply(matrix[row[len(one) :]]).tocsr()
    shared = np.diff(met.indptr)
    share = shared / (sizes[one] + sizes[other] - shared)
    near = share >= work.threshold
    return one[near], other[near], share[near]


def stretches(weights: NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """(start, end) of stretches whose weights add up to little more than `most`; never an empty one."""
    ends = np.cumsum(weights, dtype=np.int64) // most
    borders = np.flatnonzero(np.diff(ends)) + 1
    if len(weights):
        yield from zip([0, *borders.tolist()], [*borders.tolist(), len(weights)], strict=True)
