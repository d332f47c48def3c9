"""Scorer: how near does the answer come to the reference in meaning, by a sentence encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable

if TYPE_CHECKING:
    from tunesmith.models.embed import Embedder


@dataclass(frozen=True)
class Similarity:
    """Cosine of the two texts' vectors, negative ones counted as 0.

    It tells whether the same is talked about, not whether the same is said: "is" and "is not" are near to each other.
    The default encoder knows English only.

    Args:
        encoder: a catalog name, or a folder with an encoder.
    """

    encoder: str = "all-minilm-l6-v2"

    def score(self, example: Example, answer: Answer) -> Score:
        """Cosine in [0, 1]; unscored where the answerer failed or the row has no reference.

        Raises:
            UserError: the encoder cannot be brought.
        """
        if (no := incomparable(example, answer)) is not None:
            return no
        if not answer.text.strip():
            return Score(value=0.0)
        one, two = _embedder(self.encoder).encode([answer.text, example.reference])
        return Score(value=min(1.0, max(0.0, float(one @ two))))


@cache
def _embedder(name: str) -> Embedder:
    from tunesmith.models.embed import open_embedder

    return open_embedder(name)
