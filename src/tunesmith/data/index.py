"""What the line must know of all rows at once: some 80 bytes a row in memory, texts and 5-grams on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.types import DataKind, Example, Split
from tunesmith.data.grams import Grams, Rows, grams_of
from tunesmith.data.near import Mask, Pairs, near
from tunesmith.data.similarity import normalised
from tunesmith.data.texts import GENERAL, answer, hash_of, own_text, question, shared_systems, system_count

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
CODES: dict[Split | None, int] = {"train": 0, "valid": 1, "test": 2, GENERAL: 3, None: -1}
"""How a split stands in the column `split`."""
KINDS: tuple[DataKind, ...] = get_args(DataKind)
NAMES: dict[int, Split | None] = {code: split for split, code in CODES.items()}

ROW = np.dtype(
    [
        ("split", np.int8),
        ("text", np.bool_),  # plain text, nobody is asked anything
        ("asked", np.int64),  # hash of the normalised question, 0: there is none
        ("own", np.int64),  # hash of everything said
        ("said", np.int64),  # hash of target and verdict
        ("target", np.int64),  # hash of the normalised target, 0: there is none
        ("label", np.int64),  # hash of the reference answer
        ("group", np.int64),  # hash of the group, 0: there is none
        ("by_group", np.uint64),  # number drawn for the group, or for the row where it has none
        ("by_row", np.uint64),  # number drawn for the row
        ("kind", np.int8),  # number of its kind in `KINDS`
        ("source", np.int64),  # hash of its source
    ]
)


@dataclass
class Index:
    """Rows 0, 1, 2, ... in the order of the sources.

    Fields:
        rows: one `ROW` each; the column `split` is filled by the splitter.
        kept: which rows are still there.
        own, asked: their 5-grams, of everything said and of the question; None where near copies are not looked for.
    """

    rows: NDArray[Any]
    kept: Mask
    own: Grams | None
    asked: Grams | None

    @property
    def general(self) -> Mask:
        """Which rows are general ones."""
        return np.asarray(self.rows["split"] == CODES[GENERAL])

    def of_split(self, split: Split) -> Mask:
        """Which rows are still there and of this split."""
        return np.asarray(self.kept & (self.rows["split"] == CODES[split]))

    def classes(self, column: str, *, among: Mask | None = None) -> Rows:
        """Per row the first kept row (of `among`) that has the same hash in `column`; -1: its is 0, or it is gone."""
        first = np.full(len(self.rows), -1, dtype=np.int64)
        there = self.kept if among is None else self.kept & among
        where = np.flatnonzero(there & (self.rows[column] != 0))
        _, begin, of = np.unique(self.rows[column][where], return_index=True, return_inverse=True)
        first[where] = where[begin][of]
        return first

    def near(self, column: str, threshold: float, *, among: Mask | None = None) -> Pairs:
        """Near pairs among the kept rows that are the first of their class in `column` (`own` or `asked`).

        Args:
            column: what is compared.
            threshold: see `near.near`.
            among: only pairs of these rows are looked for, the first of a class among them; None: all.
        """
        grams = self.own if column == "own" else self.asked
        if grams is None:
            raise ValueError("this index was made without grams")
        first = self.classes(column, among=among) == np.arange(len(self.rows))
        return near(grams, threshold, among=first, counted=self.kept, general=self.general)


@dataclass(frozen=True)
class Piece:
    """The index of some rows, as it is written and mapped into memory again."""

    rows: NDArray[Any]
    own: tuple[Any, Any] | None
    asked: tuple[Any, Any] | None

    def write(self, folder: Path) -> None:
        """Write it as NumPy files."""
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        for name in ("own", "asked"):
            block = getattr(self, name)
            if block is not None:
                np.save(folder / f"{name}.npy", block[0], allow_pickle=False)
                np.save(folder / f"{name}.sizes.npy", block[1], allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> Piece:
        """What `write` wrote; grams stay on the disk."""
        blocks = {}
        for name in ("own", "asked"):
            if (folder / f"{name}.npy").exists():
                flat = _mapped(folder / f"{name}.npy")
                blocks[name] = flat, np.load(folder / f"{name}.sizes.npy", allow_pickle=False)
        return cls(np.load(folder / "rows.npy", allow_pickle=False), blocks.get("own"), blocks.get("asked"))


def _mapped(path: Path) -> Any:
    """An array on disk; an empty one cannot be mapped."""
    array = np.load(path, allow_pickle=False, mmap_mode="r") if path.stat().st_size > 256 else None
    return np.load(path, allow_pickle=False) if array is None or not len(array) else array


def piece_of(examples: Sequence[Example], shared: Collection[int], *, seed: int, near: bool) -> Piece:
    """The index of some rows.

    Args:
        examples: the rows.
        shared: system texts that are no row's own, see `texts.shared_systems`.
        seed: of the numbers drawn.
        near: whether near copies are looked for.
    """
    own, asked = [own_text(e, shared) for e in examples], [question(e, shared) for e in examples]
    rows = np.zeros(len(examples), dtype=ROW)
    for i, (example, said, put) in enumerate(zip(examples, own, asked, strict=True)):
        rows[i] = (
            CODES[example.split],
            example.text is not None,
            hash_of(put),
            hash_of(said),
            hash_of(answer(example)),
            0 if example.target is None else hash_of(" " + normalised(example.target)),
            hash_of(example.reference),
            0 if example.group is None else hash_of(" " + example.group),
            drawn(seed, example.id if example.group is None else example.group),
            drawn(seed, example.id),
            KINDS.index(example.kind),
            hash_of(" " + example.source),
        )
    return Piece(rows, grams_of(own) if near else None, grams_of(asked) if near else None)


def joined(pieces: Iterable[Piece]) -> Index:
    """All pieces as one index, every row kept."""
    found = list(pieces)
    rows = np.concatenate([*(piece.rows for piece in found), np.empty(0, ROW)])
    own = [piece.own for piece in found if piece.own is not None]
    asked = [piece.asked for piece in found if piece.asked is not None]
    every = np.ones(len(rows), dtype=bool)
    return Index(rows, every, Grams(own) if own else None, Grams(asked) if asked else None)


def index_of(examples: Sequence[Example], *, seed: int = 0, near: bool = True) -> Index:
    """The index of rows in memory."""
    shared = shared_systems(system_count(examples))
    return joined([piece_of(examples, shared, seed=seed, near=near)])


def drawn(seed: int, name: str) -> int:
    """A number of 64 bits that looks random, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")
