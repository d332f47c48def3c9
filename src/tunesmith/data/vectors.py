"""What questions mean, as vectors of a sentence encoder: on disk beside the grams, some rows in memory at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import Problem, did_you_mean
from tunesmith.core.ids import content_id, digest_folder
from tunesmith.core.types import Example
from tunesmith.data.chinese import han_share
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.meaning import CHINESE
from tunesmith.data.texts import verbatim
from tunesmith.models.catalog import encoders
from tunesmith.models.embed import open_embedder

Halves = NDArray[np.float16]


@dataclass(frozen=True)
class Vectors:
    """The vectors of rows 0, 1, 2, ...

    Args:
        blocks: per stretch of rows an array [rows, D], or a file that is mapped into memory; a row of zeros stands for
            a row that has none.
    """

    blocks: Sequence[Halves]

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum([len(block) for block in self.blocks], dtype=np.int64)])

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows, in their order: [rows, D], each of length 1, or zero."""
        found = np.zeros((len(rows), self.blocks[0].shape[1] if self.blocks else 0), dtype=np.float32)
        block = np.searchsorted(self._firsts, rows, side="right") - 1
        for number in np.unique(block).tolist():
            here = block == number
            found[here] = self.blocks[number][rows[here] - self._firsts[number]]
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.where(lengths > 0, lengths, 1)
        return found

    def there(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows have one."""
        return np.asarray(self.of(rows).any(axis=1))


@dataclass(frozen=True)
class Encoding:
    """Which encoder reads questions; opened once a process.

    Args:
        name: of the catalog, or a local folder.
        root: project folder.
    """

    name: str
    root: Path

    @staticmethod
    def of(leaks: Leaks, root: Path) -> Encoding | None:
        """The encoder that is asked for; None: vectors are not looked at."""
        return None if leaks.meaning is None else Encoding(leaks.encoder, root)

    def read(self, examples: Sequence[Example], shared: Collection[int]) -> Halves:
        """[rows, D]: what each row asks; zeros for a text that asks nothing, and for a language the encoder knows not.

        Args:
            examples: the rows.
            shared: system texts that are no row's own, see `texts.shared_systems`.
        """
        encoder = _opened(self.name, self.root)
        questions = ["" if example.text is not None else verbatim(example, shared) for example in examples]
        texts = sorted({text for text in questions if text.strip() and _knows(encoder.languages, text)})
        vectors = encoder.encode(texts).astype(np.float16)
        found = np.zeros((len(questions), vectors.shape[1]), dtype=np.float16)
        place = {text: i for i, text in enumerate(texts)}
        for row, text in enumerate(questions):
            if text in place:
                found[row] = vectors[place[text]]
        return found


def problems(leaks: Leaks, root: Path) -> list[Problem]:
    """An encoder that is neither in the catalog nor a folder."""
    if leaks.meaning is None or _is_known(leaks.encoder) or (root / leaks.encoder).is_dir():
        return []
    hint = did_you_mean(leaks.encoder, [encoder.name for encoder in encoders()])
    message = f"there is no encoder and no folder '{leaks.encoder}'"
    return [Problem("unknown-encoder", message, hint, "data.leaks.encoder", value=leaks.encoder)]


def digests(leaks: Leaks, root: Path) -> dict[str, str]:
    """Folder of an encoder of one's own -> what stands for its files; those of the catalog have their digests there."""
    if leaks.meaning is None or _is_known(leaks.encoder):
        return {}
    return {leaks.encoder: content_id("encoder", digest_folder(root / leaks.encoder))}


def _is_known(name: str) -> bool:
    return any(name.lower() in (encoder.name, encoder.hub.lower()) for encoder in encoders())


def _knows(languages: Sequence[str], text: str) -> bool:
    """Whether it was trained on the language of a text, as far as English and Chinese are told apart."""
    return not languages or ("zh" if han_share(text) >= CHINESE else "en") in languages


@cache
def _opened(name: str, root: Path) -> Any:
    return open_embedder(name, root=root)
