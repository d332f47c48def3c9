"""Cross-entropy at trained positions, in chunks: logits of more than one chunk never exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunesmith.tune.objective import Job, Predictions, Running

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step

PARTS = ("supervised", "text")


@dataclass(frozen=True)
class CrossEntropy:
    """Mean negative log-likelihood of the trained tokens, in nats per token.

    Args:
        chunk_tokens: positions whose logits [chunk, vocabulary] are in memory at a time.
    """

    chunk_tokens: Annotated[int, Field(ge=1)] = 1024

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        return MeanCrossEntropy(self.chunk_tokens)


@dataclass
class MeanCrossEntropy(Running):
    """The mean over trained tokens of rows of `parts`."""

    chunk_tokens: int
    parts: tuple[str, ...] = PARTS

    @property
    def supervised(self) -> bool:
        """See `Running`: it shows answers where it reads conversations."""
        return "supervised" in self.parts

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        """See `Running`."""
        from tunesmith.tune.kernels import chunked_cross_entropy

        hidden, targets, _ = predictions.of(self.parts)
        if not len(targets):
            return None
        total = chunked_cross_entropy(hidden, targets, predictions.head, chunk_tokens=self.chunk_tokens)
        return total / step.tokens(self.parts)
