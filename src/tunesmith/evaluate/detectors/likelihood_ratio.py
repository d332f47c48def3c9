"""Detector: what the tuning made no likelier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunesmith.evaluate.detectors._detector import State
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class LikelihoodRatio:
    """Log-likelihood of the question under the base less that under the expert, in nats per token (Ren et al. 2019).

    Tuning on the domain makes its questions likelier; what got no likelier is not of it. Takes one forward of the base.
    Where questions carry no loss in training it sees less.
    """

    compares_with_base: ClassVar[bool] = True

    def fit(self, seen: Features, general: Features) -> State:
        """Nothing is learnt."""
        return {}

    def score(self, state: State, features: Features) -> Floats:
        """Nats per token that the expert is behind the base."""
        return features.nats_N - features.base_nats_N
