"""Detector: distance of hidden states to the domain, relative to text as such."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State, gaussian, squared_distance
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Squared Mahalanobis distance to the domain less that to general text (Ren et al. 2021, arXiv 2106.09022, eq. 3).

    What is far from everything is far in both, and cancels out; what is left tells the domain from other text. Fitted
    on 55 questions with 1,152 dimensions it was worse than chance (docs/lab.md); with more it was not tried.
    """

    def fit(self, seen: Features, general: Features) -> State:
        """Two Gaussians with shrunk covariance: of the domain, and of domain and general text together.

        Each dimension is put on the same scale first: a few of a language model's are thousands of times larger than
        the others, and would set the shrinkage alone.
        """
        import numpy as np

        states = np.concatenate([seen.states_ND, general.states_ND])
        centre, scale = states.mean(0), states.std(0) + 1e-9
        both = gaussian((states - centre) / scale)
        own = gaussian((seen.states_ND - centre) / scale)
        return {**own, **{f"general_{name}": values for name, values in both.items()}, "centre": centre, "scale": scale}

    def score(self, state: State, features: Features) -> Floats:
        """Difference of the two squared distances."""
        states = (features.states_ND - state["centre"]) / state["scale"]
        return squared_distance(states, state) - squared_distance(states, state, "general_")
