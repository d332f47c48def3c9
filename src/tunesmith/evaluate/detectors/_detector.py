"""What all detectors have in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.models.features import Features, Floats

State = dict[str, Floats]
"""What a detector has learnt, as arrays with names: it is saved as safetensors."""


class Detector(Protocol):
    """Tells how unusual a question is. A cheap value; what it learns is a `State` of its own."""

    def fit(self, seen: Features, general: Features) -> State:
        """Learn the domain.

        Args:
            seen: questions of the training rows.
            general: texts of no domain, for what is usual of text as such.
        """
        ...

    def score(self, state: State, features: Features) -> Floats:
        """One number per question [N]; the higher, the less it is like the domain. The order of questions is no matter."""
        ...


def gaussian(states_ND: Floats) -> tuple[Floats, Floats]:
    """Mean [D] and whitening matrix [D, D] of a Gaussian whose covariance is shrunk (Ledoit and Wolf 2004).

    Shrinking keeps it invertible where there are fewer questions than dimensions.
    """
    from sklearn.covariance import ledoit_wolf

    mean = states_ND.mean(0)
    covariance, _ = ledoit_wolf(states_ND)
    values, vectors = np.linalg.eigh(covariance)
    whiten: NDArray[np.float64] = vectors / np.sqrt(np.maximum(values, 1e-12 * values.max()))
    return mean, whiten


def squared_distance(states_ND: Floats, mean_D: Floats, whiten_DD: Floats) -> Floats:
    """Squared Mahalanobis distance of each row [N]."""
    found: Floats = (((states_ND - mean_D) @ whiten_DD) ** 2).sum(1)
    return found
