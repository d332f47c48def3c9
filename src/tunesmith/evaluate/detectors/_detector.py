"""What all detectors have in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np

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
        """One number per question [N], from that question alone; the higher, the less it is like the domain."""
        ...


MOST_DIRECTIONS = 256
"""Directions of a Gaussian that have a variance of their own; the others share one, so that it stays small."""


def gaussian(states_ND: Floats) -> State:
    """A Gaussian with shrunk covariance (Ledoit and Wolf 2004), as mean [D], directions [D, K], variances [K] and rest.

    Shrinking keeps it invertible where there are fewer questions than dimensions. `rest` is the variance in every
    direction beyond the K <= 256 with the largest.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    rows, width = states_ND.shape
    mean = states_ND.mean(0)
    shrinkage = float(ledoit_wolf_shrinkage(states_ND)) if rows > 1 else 1.0
    _, sizes, directions = np.linalg.svd(states_ND - mean, full_matrices=False)
    own = sizes**2 / rows
    level = float(own.sum()) / width or 1.0
    kept = min(MOST_DIRECTIONS, len(own))
    left = float(own[kept:].sum()) / max(1, width - kept)
    rest = (1 - shrinkage) * left + shrinkage * level
    return {
        "mean": mean,
        "directions": directions[:kept].T,
        "variances": np.maximum((1 - shrinkage) * own[:kept] + shrinkage * level, 1e-12 * level),
        "rest": np.array([max(rest, 1e-12 * level)]),
    }


def squared_distance(states_ND: Floats, state: State, prefix: str = "") -> Floats:
    """Squared Mahalanobis distance of each row [N] to a Gaussian whose arrays have names with `prefix`."""
    centred = states_ND - state[f"{prefix}mean"]
    along_NK = centred @ state[f"{prefix}directions"]
    beyond_N = np.maximum((centred**2).sum(1) - (along_NK**2).sum(1), 0.0)
    found: Floats = (along_NK**2 / state[f"{prefix}variances"]).sum(1) + beyond_N / state[f"{prefix}rest"][0]
    return found
