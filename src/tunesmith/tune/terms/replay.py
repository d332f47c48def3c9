"""Replay: cross-entropy on general rows that go along with every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunesmith.tune.objective import Job, Running
from tunesmith.tune.terms.cross_entropy import MeanCrossEntropy
from tunesmith.tune.untrained import no_general_rows


@dataclass(frozen=True)
class Replay:
    """Mean negative log-likelihood of general rows that go along with every step, in nats per token.

    The plainest way not to forget (rehearsal: Robins 1995, Connection Science 7(2)); its rows come from sources with
    `split: general`, in a random order of their own, and begin anew when all have been shown.

    Args:
        share: general rows of a step as a share of its own rows; at least one row.
        chunk_tokens: positions whose logits [chunk, vocabulary] are in memory at a time.
    """

    share: Annotated[float, Field(gt=0, le=4)] = 0.25
    chunk_tokens: Annotated[int, Field(ge=1)] = 1024

    @property
    def general_share(self) -> float:
        """See `Term`."""
        return self.share

    def bind(self, job: Job) -> Running:
        """See `Term`.

        Raises:
            UserError: there are no general rows.
        """
        if not any(row.part == "general" for row in job.rows):
            raise no_general_rows("replay")
        return MeanCrossEntropy(self.chunk_tokens, ("general",))
