"""Votes weighted by the record of their source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from tunesmith.reason.ballot import Candidate, candidates, fused
from tunesmith.reason.calibrate import Calibrator
from tunesmith.reason.chains import Chain, Fused


@dataclass(frozen=True)
class Weighted:
    """Votes weighted by the record of their source, and by how likely the model found each chain.

    A source that is right with probability p on questions with K likely answers has weight log((K - 1) p / (1 - p)),
    the best for independent voters (Nitzan and Paroush 1982), and none where that is below 0. A source that nobody
    knows has the mean weight, or 1 where nothing was learnt.

    Args:
        answers: K, how many answers a wrong chain has to choose from.
        by_likelihood: a vote also counts by the chain's mean probability of a token, where that is known.
    """

    answers: Annotated[int, Field(ge=2)] = 10
    by_likelihood: bool = False

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        """`weights`: source -> weight from its share of right conclusions, one right and one wrong added."""
        right, seen = Counter[str](), Counter[str]()
        for chains, answer in questions:
            for chain in chains:
                seen[chain.source] += 1
                right[chain.source] += chain.conclusion == answer and not chain.unscored
        if not seen:
            return {}
        weights = {source: self._weight((right[source] + 1) / (seen[source] + 2)) for source in sorted(seen)}
        said = [(self.fuse(chains, {"weights": weights}), answer) for chains, answer in questions]
        known = [(one.probability, one.conclusion == answer) for one, answer in said if one.conclusion is not None]
        found = Calibrator.fit([probability for probability, _ in known], [good for _, good in known])
        return {"weights": weights, "scale": found.scale, "shift": found.shift}

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        """See `Fusion.fuse`."""
        weights: dict[str, float] = learnt.get("weights", {})
        usual = math.fsum(weights.values()) / len(weights) if weights else 1.0
        found = candidates(chains)
        votes = [math.fsum(self._vote(chains[place], weights, usual) for place in one.places) for one in found]
        shares = [vote / (math.fsum(votes) + 1.0) for vote in votes]
        known = "scale" in learnt and shares
        calibrated = Calibrator(learnt["scale"], learnt["shift"])(max(shares)) if known else None
        return fused(found, shares, calibrated, votes=_told(found, votes))

    def _weight(self, accuracy: float) -> float:
        return max(0.0, math.log((self.answers - 1) * accuracy / (1.0 - accuracy)))

    def _vote(self, chain: Chain, weights: dict[str, float], usual: float) -> float:
        weight = weights.get(chain.source, usual)
        if self.by_likelihood and chain.log_probability is not None and chain.tokens:
            return weight * math.exp(chain.log_probability / chain.tokens)
        return weight


def _told(found: Sequence[Candidate], votes: Sequence[float]) -> dict[str, float]:
    return {one.conclusion: round(vote, 6) for one, vote in zip(found, votes, strict=True)}
