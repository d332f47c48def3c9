"""Examples that have the question's rare words, by BM25; no model, any language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tunesmith.reason.held_out import folded


@dataclass(frozen=True)
class Lexical:
    """BM25 over words (Robertson and Zaragoza, 2009, equation 3.15); a Chinese character is a word.

    Args:
        k1: from which on a word that stands more often counts little more.
        b: how far long examples are discounted.
    """

    k1: Annotated[float, Field(gt=0)] = 1.2
    b: Annotated[float, Field(ge=0, le=1)] = 0.75

    def index(self, questions: Sequence[str]) -> Words:
        """The weight of each word in each example."""
        return Words(questions, self.k1, self.b)


class Words:
    """Examples as sparse rows of word weights."""

    def __init__(self, questions: Sequence[str], k1: float, b: float) -> None:
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(analyzer=folded)
        if not any(map(folded, questions)):
            self._counter, self._weights = None, csr_matrix((len(questions), 1))
            return
        counts = self._counter.fit_transform(questions).astype(np.float64).tocoo()
        lengths = np.bincount(counts.row, counts.data, minlength=len(questions))
        documents = np.bincount(counts.col, minlength=counts.shape[1])
        rare = np.log(1 + (len(questions) - documents + 0.5) / (documents + 0.5))
        discount = k1 * (1 - b + b * lengths / lengths.mean())
        weights = rare[counts.col] * counts.data * (k1 + 1) / (counts.data + discount[counts.row])
        self._weights = csr_matrix((weights, (counts.row, counts.col)), shape=counts.shape)

    def scores(self, questions: Sequence[str]) -> NDArray[np.float64]:
        """BM25, divided by the best example's: [questions, examples]."""
        if self._counter is None:
            return np.zeros((len(questions), self._weights.shape[0]))
        asked = self._counter.transform(questions).minimum(1).astype(np.float64)
        found: NDArray[np.float64] = (asked @ self._weights.T).toarray()
        best: NDArray[np.float64] = np.maximum(found.max(1, keepdims=True, initial=0.0), 1e-12)
        return found / best

    def alike(self, examples: Sequence[int]) -> NDArray[np.float64]:
        """Cosines of word weights."""
        from sklearn.metrics.pairwise import cosine_similarity

        found: NDArray[np.float64] = cosine_similarity(self._weights[list(examples)])
        return found

    def vectors(self) -> Any:
        """Word weights of length 1, sparse."""
        from sklearn.preprocessing import normalize

        return normalize(self._weights)
