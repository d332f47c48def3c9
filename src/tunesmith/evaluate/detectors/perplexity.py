"""Detector: how unlikely the expert finds the question."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class Perplexity:
    """Mean negative log-probability of the question's tokens under the expert.

    Alone it is weak: a short simple sentence of another domain can be likelier than an ordinary question of this one
    (Ren et al. 2023).
    """

    def fit(self, seen: Features, general: Features) -> State:
        """Nothing is learnt."""
        return {}

    def score(self, state: State, features: Features) -> Floats:
        """Nats per token."""
        return features.nats_N
