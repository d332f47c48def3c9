"""Examples that mean something like the question, by sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Embedding:
    """Cosines of sentence embeddings.

    Args:
        encoder: a catalog name or a local folder; the default understands English.
    """

    encoder: str = "all-minilm-l6-v2"

    def index(self, questions: Sequence[str]) -> Vectors:
        """The examples' vectors."""
        from tunesmith.models.embed import open_embedder

        return Vectors(open_embedder(self.encoder), questions)


class Vectors:
    """Examples as dense rows of length 1."""

    def __init__(self, encoder: Any, questions: Sequence[str]) -> None:
        self._encoder = encoder
        self._rows = encoder.encode(questions).astype(np.float64)

    def scores(self, questions: Sequence[str]) -> NDArray[np.float64]:
        """Cosines, opposite meanings as 0: [questions, examples]."""
        found: NDArray[np.float64] = self._encoder.encode(questions).astype(np.float64) @ self._rows.T
        return found.clip(0.0, 1.0)

    def alike(self, examples: Sequence[int]) -> NDArray[np.float64]:
        """Cosines, opposite meanings as 0."""
        rows = self._rows[list(examples)]
        found: NDArray[np.float64] = (rows @ rows.T).clip(0.0, 1.0)
        return found

    def vectors(self) -> Any:
        """The vectors."""
        return self._rows
