"""Detector: distance of hidden states to the domain, relative to text as such."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State, gaussian, squared_distance
from tunesmith.models.features import Features, Floats

ROWS_A_DIRECTION = 4
"""Questions, and general texts, that each direction of the shared space rests on, at least."""

MOST_DIRECTIONS = 128


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Squared Mahalanobis distance to the domain less that to general text (Ren et al. 2021, arXiv 2106.09022, eq. 3).

    What is far from everything is far in both, and cancels out; what is left tells the domain from other text. Both
    Gaussians live in one space, the principal directions of domain and general text together, few enough that either
    has rows for all of them. With fewer rows than dimensions each distance is ruled by the variance that shrinkage
    gives to directions without rows: mixed text is shrunk less, and whatever was new seemed nearer to the domain.
    """

    def fit(self, seen: Features, general: Features) -> State:
        """Two Gaussians with shrunk covariance: of the domain, and of domain and general text together.

        Each dimension is put on the same scale first: a few of a language model's are thousands of times larger than
        the others, and would rule the directions alone.
        """
        import numpy as np

        states = np.concatenate([seen.states_ND, general.states_ND])
        centre, scale = states.mean(0), states.std(0) + 1e-9
        together = (states - centre) / scale
        wanted = min(MOST_DIRECTIONS, max(1, min(len(seen), len(general)) // ROWS_A_DIRECTION))
        axes = np.linalg.svd(together, full_matrices=False)[2][:wanted].T
        both = gaussian(together @ axes)
        own = gaussian(together[: len(seen)] @ axes)
        general_state = {f"general_{name}": values for name, values in both.items()}
        return {**own, **general_state, "centre": centre, "scale": scale, "axes": axes}

    def score(self, state: State, features: Features) -> Floats:
        """Difference of the two squared distances."""
        states = ((features.states_ND - state["centre"]) / state["scale"]) @ state["axes"]
        return squared_distance(states, state) - squared_distance(states, state, "general_")
