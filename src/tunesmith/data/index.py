"""What the line must know of all rows at once: some 200 bytes a row in memory, texts, words and grams on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.protocols import Executor, Here
from tunesmith.core.types import CANARY, DataKind, Example, Split
from tunesmith.data.grams import Grams, OnDisk, Rows, grams_of
from tunesmith.data.near import Mask, Pairs, near
from tunesmith.data.options import in_any_order
from tunesmith.data.similarity import normalised
from tunesmith.data.texts import GENERAL, answer, hash_of, said, shared_systems, system_count, target_of
from tunesmith.data.tokens import Block, runs_of, words_of
from tunesmith.data.vectors import Encoding, Halves, Vectors

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
        ("verbatim", np.int64),  # hash of the question letter by letter, 0: there is none
        ("any_order", np.int64),  # hash of the question without the order of its options; 0: none, or a plain text
        ("planted", np.bool_),  # a canary: kept as often as it stands there
    ]
)
GRAMS = ("own", "asked", "words", "runs", "own_runs")
"""5-grams of everything said and of the question; words and runs of words of the question (of plain texts: none, nobody
is asked); runs of everything said."""


@dataclass
class Index:
    """Rows 0, 1, 2, ... in the order of the sources.

    Fields:
        rows: one `ROW` each; the column `split` is filled by the splitter.
        kept: which rows are still there.
        grams: see `GRAMS`; 5-grams only where near copies are looked for.
        executor, folder: where near pairs are looked for, and where what that lays on disk lies, see `near.near`.
        vectors: what questions mean; None: nobody asked.
    """

    rows: NDArray[Any]
    kept: Mask
    grams: Mapping[str, Grams]
    executor: Executor = field(default_factory=Here)
    folder: Path | None = None
    vectors: Vectors | None = None

    @property
    def general(self) -> Mask:
        """Which rows are general ones."""
        return np.asarray(self.rows["split"] == CODES[GENERAL])

    @property
    def planted(self) -> Mask:
        """Which rows are still there and are canaries."""
        return np.asarray(self.kept & self.rows["planted"])

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
        if column not in self.grams:
            raise ValueError("this index was made without 5-grams")
        first = self.classes(column, among=among) == np.arange(len(self.rows))
        return near(
            self.grams[column],
            threshold,
            among=first,
            counted=self.kept,
            general=self.general,
            executor=self.executor,
            folder=self.folder,
        )


@dataclass(frozen=True)
class Piece:
    """The index of some rows, as it is written and mapped into memory again."""

    rows: NDArray[Any]
    grams: Mapping[str, Block]
    vectors: Halves | None = None

    def write(self, folder: Path) -> None:
        """Write it as NumPy files; 5-grams of questions that are all that is said are not written twice."""
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        for name, (flat, sizes) in self.grams.items():
            if name == "asked" and self.grams[name] is self.grams["own"]:
                continue
            np.save(folder / f"{name}.npy", flat, allow_pickle=False)
            np.save(folder / f"{name}.sizes.npy", sizes, allow_pickle=False)
        if self.vectors is not None:
            np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> Piece:
        """What `write` wrote; grams and vectors stay on the disk."""
        grams = {
            name: (_on_disk(folder / f"{name}.npy"), np.load(folder / f"{name}.sizes.npy", allow_pickle=False))
            for name in GRAMS
            if (folder / f"{name}.npy").exists()
        }
        if "own" in grams:
            grams.setdefault("asked", grams["own"])
        vectors = _mapped(folder / "vectors.npy") if (folder / "vectors.npy").exists() else None
        return cls(np.load(folder / "rows.npy", allow_pickle=False), grams, vectors)


def _on_disk(path: Path) -> Any:
    """Hashes on disk; an empty array cannot be mapped."""
    array = _mapped(path)
    return OnDisk(path, len(array)) if len(array) else array


def _mapped(path: Path) -> Any:
    """An array on disk; an empty one cannot be mapped."""
    array = np.load(path, allow_pickle=False, mmap_mode="r") if path.stat().st_size > 256 else None
    return np.load(path, allow_pickle=False) if array is None or not len(array) else array


def piece_of(
    examples: Sequence[Example], shared: Collection[int], *, seed: int, near: bool, labels: Collection[str] = ()
) -> Piece:
    """The index of some rows.

    Args:
        examples: the rows.
        shared: system texts that are no row's own, see `texts.shared_systems`.
        seed: of the numbers drawn.
        near: whether near copies are looked for.
        labels: closed set of answers: one of them is its row's target where the row has no other.
    """
    own, asked = [], []
    rows = np.zeros(len(examples), dtype=ROW)
    for i, example in enumerate(examples):
        texts = said(example, shared)
        own.append(texts.own)
        asked.append(texts.asked)
        rows[i] = (
            CODES[example.split],
            example.text is not None,
            hash_of(texts.asked),
            hash_of(texts.own),
            hash_of(answer(example, labels)),
            0 if (target := target_of(example, labels)) is None else hash_of(" " + normalised(target)),
            hash_of(example.reference),
            0 if example.group is None else hash_of(" " + example.group),
            drawn(seed, example.id if example.group is None else example.group),
            drawn(seed, example.id),
            KINDS.index(example.kind),
            hash_of(" " + example.source),
            hash_of(texts.verbatim),
            0 if example.text is not None else hash_of(in_any_order(texts.verbatim)),
            CANARY in example.attributes,
        )
    questions = ["" if example.text is not None else text for example, text in zip(examples, asked, strict=True)]
    grams = {"words": words_of(questions), "runs": runs_of(questions), "own_runs": runs_of(own)}
    if near:
        grams["own"] = grams_of(own)
        grams["asked"] = grams["own"] if asked == own else grams_of(asked)
    return Piece(rows, grams)


def joined(pieces: Iterable[Piece]) -> Index:
    """All pieces as one index, every row kept."""
    found = list(pieces)
    rows = np.concatenate([*(piece.rows for piece in found), np.empty(0, ROW)])
    every = np.ones(len(rows), dtype=bool)
    names = [name for name in GRAMS if all(name in piece.grams for piece in found)]
    vectors = [piece.vectors for piece in found if piece.vectors is not None]
    grams = {name: Grams([piece.grams[name] for piece in found]) for name in names}
    return Index(rows, every, grams, vectors=Vectors(vectors) if len(vectors) == len(found) and vectors else None)


def index_of(
    examples: Sequence[Example], *, seed: int = 0, near: bool = True, encoding: Encoding | None = None
) -> Index:
    """The index of rows in memory."""
    shared = shared_systems(system_count(examples))
    piece = piece_of(examples, shared, seed=seed, near=near)
    return joined([piece if encoding is None else replace(piece, vectors=encoding.read(examples, shared))])


def drawn(seed: int, name: str) -> int:
    """A number of 64 bits that looks random, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")
