"""Detector: distance of hidden states to the domain, relative to text as such."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State, gaussian, squared_distance
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Squared Mahalanobis distance to the domain less that to general text (Ren et al. 2021, arXiv 2106.09022, eq. 3).

    What is far from everything is far in both, and cancels out; what is left tells the domain from other text.
    """

    def fit(self, seen: Features, general: Features) -> State:
        """Two Gaussians with shrunk covariance: of the domain, and of domain and general text together."""
        import numpy as np

        both = gaussian(np.concatenate([seen.states_ND, general.states_ND]))
        return {**gaussian(seen.states_ND), **{f"general_{name}": values for name, values in both.items()}}

    def score(self, state: State, features: Features) -> Floats:
        """Difference of the two squared distances."""
        own = squared_distance(features.states_ND, state)
        return own - squared_distance(features.states_ND, state, "general_")
