"""The 5-grams of many texts: on disk, a stretch of texts in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

GRAM = 5
_TOGETHER = 1 << 17
"""Parts of texts that are hashed together: arrays that fit into the processor's cache."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

T = TypeVar("T", bound=Sized)
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class OnDisk:
    """Hashes in a file that `np.save` wrote, and that is not empty; mapped only while they are looked at.

    What stays mapped counts as the process's memory, and the grams are many times the text.

    Args:
        path: the file.
        count: how many there are.
    """

    path: Path
    count: int

    def __len__(self) -> int:
        """How many there are."""
        return self.count

    def mapped(self) -> Hashes:
        """The hashes, read as they are used, as long as the array lives."""
        found: Hashes = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return found


@dataclass(frozen=True)
class Grams:
    """The gram sets of texts 0, 1, 2, ...

    Args:
        blocks: per stretch of texts the hashes of all its grams, text after text, each text's distinct and ascending
            (an array, or on disk); and how many each text has.
    """

    blocks: Sequence[tuple[Hashes | OnDisk, NDArray[np.int32]]]

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return int(self.firsts[-1])

    @cached_property
    def firsts(self) -> Rows:
        """Number of the first text of every block, and the number of texts at the end."""
        return np.concatenate([[0], np.cumsum([len(sizes) for _, sizes in self.blocks], dtype=np.int64)])

    @cached_property
    def total(self) -> int:
        """Grams of all texts."""
        return sum(len(flat) for flat, _ in self.blocks)

    @cached_property
    def _starts(self) -> list[Rows]:
        """Per block where each of its texts begins, and the end."""
        return [np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]) for _, sizes in self.blocks]

    def each(self) -> Iterator[tuple[int, Hashes, NDArray[np.int32]]]:
        """(number of the first text, hashes, sizes) of every block."""
        for first, (flat, sizes) in zip(self.firsts[:-1], self.blocks, strict=True):
            yield int(first), np.asarray(_mapped(flat)), sizes

    def stretches(self, most: int, *, blocks: Sequence[int] | None = None) -> Iterator[tuple[int, Hashes, Rows]]:
        """The same in smaller pieces, of about `most` grams and of whole texts; of some blocks, or of all."""
        for number in range(len(self.blocks)) if blocks is None else blocks:
            flat, sizes, starts = _mapped(self.blocks[number][0]), self.blocks[number][1], self._starts[number]
            borders = np.unique(starts[1:] // most, return_index=True)[1]
            for begin, end in pairwise([*borders.tolist(), len(sizes)]):
                first = int(self.firsts[number]) + begin
                yield first, np.asarray(flat[starts[begin] : starts[end]]), sizes[begin:end].astype(np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, a block on disk goes as its path, and what can be worked out again stays here."""
        return Grams, (self.blocks,)

    def of(self, texts: Rows) -> tuple[Hashes, Rows]:
        """The grams of some texts, one after the other, and how many each has.

        One block is mapped at a time: texts lie far apart, and all pages around them would count as memory.
        """
        block = np.searchsorted(self.firsts, texts, side="right") - 1
        sizes = np.empty(len(texts), np.int64)
        of_block = {number: np.flatnonzero(block == number) for number in np.unique(block).tolist()}
        for number, places in of_block.items():
            sizes[places] = self.blocks[number][1][texts[places] - self.firsts[number]]
        ends = np.cumsum(sizes)
        found = np.empty(int(sizes.sum()), np.uint64)
        for number, places in of_block.items():
            flat, begins = _mapped(self.blocks[number][0]), self._starts[number][texts[places] - self.firsts[number]]
            for begin, end, size in zip(begins.tolist(), ends[places].tolist(), sizes[places].tolist(), strict=True):
                found[end - size : end] = flat[begin : begin + size]
        return found, sizes


def _mapped(flat: Hashes | OnDisk) -> Hashes:
    return flat.mapped() if isinstance(flat, OnDisk) else flat


def grams_of(texts: Sequence[str]) -> tuple[Hashes, NDArray[np.int32]]:
    """One block: the distinct character 5-grams of normalised texts; a shorter text is one gram, an empty one none."""
    return blocks_of(texts, lambda text: text.ljust(GRAM) if text else "", _code_points, GRAM)


def _code_points(texts: list[str]) -> Hashes:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)


def blocks_of(
    texts: Iterable[str], parts: Callable[[str], T], numbers: Callable[[list[T]], Hashes], width: int
) -> tuple[Hashes, NDArray[np.int32]]:
    """One block: per text the distinct hashes of its runs of `width` parts, ascending.

    Texts are taken together, some hundred thousand parts at a time: the arrays of a single text are so short that
    NumPy's calls would cost more than the work.

    Args:
        texts: the texts.
        parts: what a text is made of.
        numbers: the parts of many texts, one after the other, as numbers.
        width: parts in a run; a text with fewer has none.
    """
    found: list[tuple[Hashes, NDArray[np.int32]]] = [(np.empty(0, np.uint64), np.empty(0, np.int32))]
    waiting: list[T] = []
    held = 0
    for text in texts:
        waiting.append(parts(text))
        held += len(waiting[-1])
        if held >= _TOGETHER:
            found.append(_distinct_runs(numbers(waiting), [len(one) for one in waiting], width))
            waiting, held = [], 0
    found.append(_distinct_runs(numbers(waiting), [len(one) for one in waiting], width))
    return np.concatenate([flat for flat, _ in found]), np.concatenate([sizes for _, sizes in found])


def _distinct_runs(numbers: Hashes, sizes: Sequence[int], width: int) -> tuple[Hashes, NDArray[np.int32]]:
    """The distinct hashes of the runs of each text, ascending; and how many each has."""
    hashes = numbers if width == 1 else _runs(numbers, width)
    ends = np.cumsum(np.array(sizes, dtype=np.int64), dtype=np.int64)
    flat, counts = [], []
    for size, end in zip(sizes, ends.tolist(), strict=True):
        one = np.sort(hashes[end - size : max(end - size, end - width + 1)])
        flat.append(one)
        counts.append(len(one))
    together = np.concatenate([*flat, np.empty(0, np.uint64)])
    owner = np.repeat(np.arange(len(counts)), counts)
    new = np.ones(len(together), dtype=bool)
    new[1:] = (together[1:] != together[:-1]) | (owner[1:] != owner[:-1])
    return together[new], np.bincount(owner[new], minlength=len(counts)).astype(np.int32)


def _runs(numbers: Hashes, width: int) -> Hashes:
    """The hash of the `width` numbers from each place on."""
    hashes = np.zeros(max(0, len(numbers) - width + 1), np.uint64)
    spare = np.empty_like(hashes)
    for offset in range(width):
        hashes ^= numbers[offset : offset + len(hashes)]
        hashes *= _MULTIPLIER
        np.right_shift(hashes, np.uint64(29), out=spare)
        hashes ^= spare
    return hashes
