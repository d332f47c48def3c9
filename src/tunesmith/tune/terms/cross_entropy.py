"""Cross-entropy at trained positions, in chunks: logits of more than one chunk never exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunesmith.tune.objective import Predictions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """Mean negative log-likelihood of the trained tokens, in nats per token.

    Args:
        chunk_tokens: positions whose logits [chunk, vocabulary] are in memory at a time.
    """

    chunk_tokens: Annotated[int, Field(ge=1)] = 1024

    def sum(self, predictions: Predictions) -> Tensor:
        """Summed over the trained tokens; see `Term.sum`."""
        from tunesmith.tune.kernels import chunked_cross_entropy

        return chunked_cross_entropy(
            predictions.hidden_ND, predictions.targets_N, predictions.head, chunk_tokens=self.chunk_tokens
        )
