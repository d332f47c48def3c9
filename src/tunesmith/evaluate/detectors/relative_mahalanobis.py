"""Detector: distance of hidden states to the domain, relative to text as such."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State, gaussian, squared_distance
from tunesmith.models.features import Features, Floats

ROWS_A_DIRECTION = 4
"""Questions, and general texts, that each direction of the shared space rests on, at least."""

MOST_DIRECTIONS = 128


LAYERS = (0, 1)
"""Those of `features.LAYERS` whose distances are averaged: the early and the middle one (docs/lab.md)."""


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Squared Mahalanobis distance to the domain less that to general text (Ren et al. 2021, arXiv 2106.09022, eq. 3).

    What is far from everything is far in both, and cancels out; what is left tells the domain from other text. Both
    Gaussians live in one space, the principal directions of domain and general text together, few enough that either
    has rows for all of them. With fewer rows than dimensions each distance is ruled by the variance that shrinkage
    gives to directions without rows: mixed text is shrunk less, and whatever was new seemed nearer to the domain.

    One distance a layer, in units of its spread over the training questions; their mean counts. Near the words another
    class of the domain is told better, half way up another domain.
    """

    def fit(self, seen: Features, general: Features) -> State:
        """For each layer what `_fit` learns, under its number."""
        return {
            f"{place}_{name}": values
            for place in LAYERS
            for name, values in _fit(seen.layer(place), general.layer(place)).items()
        }

    def score(self, state: State, features: Features) -> Floats:
        """Mean over the layers of the difference of the two squared distances."""
        import numpy as np

        found: Floats = np.mean([_difference(features.layer(n), state, f"{n}_") for n in LAYERS], axis=0)
        return found


def _fit(seen_ND: Floats, general_MD: Floats) -> State:
    """Two Gaussians with shrunk covariance: of the domain, and of domain and general text together.

    Each dimension is put on the same scale first: a few of a language model's are thousands of times larger than the
    others, and would rule the directions alone.
    """
    import numpy as np

    states = np.concatenate([seen_ND, general_MD])
    centre, scale = states.mean(0), states.std(0) + 1e-9
    together = (states - centre) / scale
    wanted = min(MOST_DIRECTIONS, max(1, min(len(seen_ND), len(general_MD)) // ROWS_A_DIRECTION))
    axes = np.linalg.svd(together, full_matrices=False)[2][:wanted].T
    both = {f"general_{name}": values for name, values in gaussian(together @ axes).items()}
    state = {**gaussian(together[: len(seen_ND)] @ axes), **both, "centre": centre, "scale": scale, "axes": axes}
    spread = float(_difference(seen_ND, {**state, "spread": np.ones(1)}).std())
    return {**state, "spread": np.array([spread or 1.0])}


def _difference(states_ND: Floats, state: State, prefix: str = "") -> Floats:
    """Squared distance to the domain less that to general text [N], in units of `spread`."""
    along = ((states_ND - state[f"{prefix}centre"]) / state[f"{prefix}scale"]) @ state[f"{prefix}axes"]
    nearer = squared_distance(along, state, prefix) - squared_distance(along, state, f"{prefix}general_")
    found: Floats = nearer / state[f"{prefix}spread"][0]
    return found
