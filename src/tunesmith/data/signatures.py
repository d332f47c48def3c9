"""What near texts have in common and others seldom: signatures, each a hash of a few 5-grams taken together.

Two kinds, because short and long texts differ. *Short texts* (to 99 grams at 0.85): all pairs of two of the rarest
grams. Of two near texts with n grams, the first n - ceil(t n) + 2 in one common order share at least two (the prefix
filter of Chaudhuri, Ganti, Kaushik 2006, extended after Wang, Li, Feng 2012, "AdaptJoin"): no near pair is missed.
*Long texts*: the range of hashes is divided into 2^q parts, and the grams of a text within one part are one signature
if they are at least `least`. A part in which two texts do not differ gives both the same one. Where one division has
too few parts, grams are hashed anew and divided again. This is MinHash LSH (Broder 1997; Indyk, Motwani 1998) with
runs of all small hashes in place of single minima: one pass over the grams gives many signatures, not one. How many are
made is reckoned so that a pair just at the threshold shares none with a probability below 1e-6, a nearer one far
less; hashes are fixed, so the same texts always give the same pairs.

Floor: a gram is read (8 bytes) and hashed once a division, 2 to 5 of them for texts of 1,000 letters, one and in part
only from some 3,000 on; some 15 ns each with NumPy on one core. A text leaves at most some 130 signatures of 12 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.grams import Grams, Hashes, Rows

MISS = 1e-6
"""Probability at most of a pair of long texts just at the threshold to be missed."""
_MOST_VISITS = 2000
"""Grams that are hashed for one text at most, which bounds how many signatures it has."""
_MOST_PREFIX = 16
_MOST_LEAST = 16
_TABLE_BITS = 20
_STRETCH = 250_000
"""Grams at a time: arrays that fit into the processor's cache."""
_PREFERRED_STEP = 1.06
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0xD6E8FEB86659FD93))

Mask = NDArray[np.bool_]
Signatures = tuple[Hashes, Rows]
"""Signatures, and the text that each is of."""


@dataclass(frozen=True)
class Plan:
    """How many signatures it takes at a threshold.

    Fields:
        threshold: Jaccard share from which on two texts are near.
        short: texts with at most so many grams are short; a pair whose larger one is short is found surely.
        least: grams that a part must hold to be a signature.
        mean: grams in a part, on average, of the smallest text that is divided so; the largest has twice as many.
        parts: parts that are looked at, over all divisions.
    """

    threshold: float
    short: int
    least: int
    mean: float
    parts: int

    @classmethod
    @cache
    def of(cls, threshold: float) -> Plan:
        """The plan with the most telling signatures that keeps below `MISS` and `_MOST_VISITS`."""
        room = _MOST_PREFIX - 1
        short = math.ceil(room / (1 - threshold)) - 1 if threshold < 1 else 1 << 62
        for least in range(_MOST_LEAST, 0, -1):
            options = [_parts(threshold, least, _PREFERRED_STEP**k) for k in range(80)]
            parts, mean = min(options, key=lambda option: option[0] * option[1])
            if parts * mean <= _MOST_VISITS:
                break
        return cls(threshold, short, least, mean, math.ceil(parts))

    @property
    def long(self) -> float:
        """Texts with at least so many grams have signatures as long ones; some have those of both kinds."""
        return self.threshold * self.short

    def divisions(self, bits: int) -> tuple[int, int]:
        """(how often the hashes are divided into 2^bits parts, how many of the parts are looked at)."""
        times = max(1, math.ceil(self.parts / (1 << bits)))
        return times, min(1 << bits, self.parts)

    def bits(self, sizes: NDArray[np.float64]) -> Rows:
        """Of texts with so many grams: 2^bits parts are made of them."""
        return np.maximum(0, np.floor(np.log2(np.maximum(sizes / self.mean, 1)))).astype(np.int64)


def _parts(threshold: float, least: int, mean: float) -> tuple[float, float]:
    """(parts that are needed, mean), for parts of `mean` to twice as many grams.

    The union of a text with n grams and one just near it holds n to 2 n / (1 + t) of them.
    """
    chance = min(_shared(mean, threshold, least), _shared(4 * mean / (1 + threshold), threshold, least))
    return (-math.log(MISS) / chance if chance > 0 else math.inf), mean


def _shared(union: float, threshold: float, least: int) -> float:
    """Probability that a part with so many grams of both texts has none of one only, and `least` of both (Poisson)."""
    mean = threshold * union
    term, below = math.exp(-mean), 0.0
    for count in range(least):
        below += term
        term *= mean / (count + 1)
    return math.exp(-(1 - threshold) * union) * max(0.0, 1 - below)


@dataclass(frozen=True)
class Counts:
    """How many short texts have a gram, roughly: grams that share a place are counted together, so never too few."""

    table: NDArray[np.uint32]

    @classmethod
    def of(cls, grams: Grams, rows: Mask, *, most: float = math.inf) -> Counts:
        """Counted over the texts in `rows` with at most `most` grams."""
        table = np.zeros(1 << _TABLE_BITS, dtype=np.uint32)
        counts = cls(table)
        for first, flat, sizes in grams.stretches(_STRETCH):
            counted = rows[first : first + len(sizes)] & (sizes <= most)
            if counted.any():
                kept = flat if counted.all() else flat[np.repeat(counted, sizes)]
                np.add.at(table, counts.places(kept), np.uint32(1))
        return counts

    def places(self, hashes: Hashes) -> NDArray[np.int64]:
        """Where each gram is counted."""
        return ((hashes * _ODD[2]) >> np.uint64(64 - _TABLE_BITS)).astype(np.int64)

    def __getitem__(self, hashes: Hashes) -> NDArray[np.uint32]:
        return self.table[self.places(hashes)]


def signatures(flat: Hashes, sizes: Rows, plan: Plan, counts: Counts) -> Iterator[Signatures]:
    """Signatures of some texts, numbered from 0.

    Args:
        flat: distinct ascending hashes of all texts, text after text.
        sizes: how many each text has; 0: it is not compared.
        plan: see `Plan`.
        counts: over all short texts.
    """
    owner = np.repeat(np.arange(len(sizes)), sizes)
    short = (sizes > 0) & (sizes <= plan.short)
    if short.any():
        yield from _of_short(*_only(flat, owner, short), sizes, plan.threshold, counts)
    long = sizes >= max(plan.long, 1)
    if not long.any():
        return
    own, larger = plan.bits(sizes.astype(np.float64)), plan.bits(sizes / plan.threshold)
    for bits in range(int(own[long].min()), int(larger[long].max()) + 1):
        chosen = long & (own <= bits) & (bits <= larger)
        if chosen.any():
            yield from _of_long(*_only(flat, owner, chosen), bits, plan)


def _only(flat: Hashes, owner: Rows, chosen: Mask) -> tuple[Hashes, Rows]:
    if chosen.all():
        return flat, owner
    kept = chosen[owner]
    return flat[kept], owner[kept]


def _of_long(flat: Hashes, owner: Rows, bits: int, plan: Plan) -> Iterator[Signatures]:
    """The grams of each text within one part of the hashes, as one signature."""
    times, used = plan.divisions(bits)
    texts, local = np.unique(owner, return_inverse=True)
    for number in range(times):
        hashes = _mixed(flat + np.uint64(number))
        part = (hashes >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(flat), np.int64)
        slot = local * used + part
        if used < 1 << bits:
            looked = part < used
            slot, hashes = slot[looked], hashes[looked]
        held = np.bincount(slot, minlength=len(texts) * used)
        together = np.zeros(len(texts) * used, dtype=np.uint64)
        np.add.at(together, slot, hashes)
        enough = np.flatnonzero(held >= plan.least)
        yield _mixed(together[enough] + np.uint64(bits)), texts[enough // used]


def _of_short(flat: Hashes, owner: Rows, sizes: Rows, threshold: float, counts: Counts) -> Iterator[Signatures]:
    """Pairs of two of the rarest grams of each text.

    Jaccard >= t needs a shared part of at least t n; so of the n grams, rare ones first, the first n - ceil(t n) + 2
    must hold two shared ones, where two are shared. A gram that no other text has is in no pair.
    """
    count = counts[flat]
    order = np.argsort(_sort_keys(flat, owner, count), kind="stable")
    n = np.bincount(owner, minlength=len(sizes))
    shared = np.ceil(threshold * n - 1e-9).astype(np.int64)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(n) - n, n)
    met = (place < np.repeat(n - shared + 2, n)) & (count[order] > 1)
    heads, of = flat[order[met]], owner[order[met]]
    alone = shared[of] <= 1
    yield _mixed(heads[alone]), of[alone]
    held = np.bincount(of, minlength=len(sizes))
    begin = np.cumsum(held) - held
    for size in np.unique(held[held > 1]).tolist():
        texts = np.flatnonzero(held == size)
        grams = _mixed(heads[begin[texts, None] + np.arange(size)])
        one, other = np.triu_indices(size, 1)
        yield _mixed((grams[:, one] + grams[:, other]).ravel()), np.repeat(texts, len(one))


def _sort_keys(flat: Hashes, owner: Rows, count: NDArray[np.uint32]) -> Hashes:
    """One number a gram that sorts by text, count and hash; what its bits leave open, a stable order decides."""
    bits = max(1, int(owner[-1]).bit_length()) if len(owner) else 1
    rare = np.minimum(count, 0xFFFF).astype(np.uint64) << np.uint64(48 - bits)
    keys: Hashes = (owner.astype(np.uint64) << np.uint64(64 - bits)) | rare | (flat >> np.uint64(16 + bits))
    return keys


def _mixed(hashes: Hashes) -> Hashes:
    """Other hashes, all bits of which depend on all bits (the finish of MurmurHash3, other constants)."""
    found = (hashes ^ (hashes >> np.uint64(32))) * _ODD[0]
    found ^= found >> np.uint64(29)
    found *= _ODD[1]
    found ^= found >> np.uint64(32)
    return found
