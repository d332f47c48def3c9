"""Detector: the energy of the model's logits."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.evaluate.detectors._detector import State
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class Energy:
    """Minus the log of the sum of exponentials of the logits (Liu et al. 2020, eq. 4), mean over the tokens."""

    def fit(self, seen: Features, general: Features) -> State:
        """Which way is unusual: more or less energy than general text has."""
        import numpy as np

        return {"sign": np.array([1.0 if general.energy_N.mean() >= seen.energy_N.mean() else -1.0])}

    def score(self, state: State, features: Features) -> Floats:
        """Energy, turned so that general text has more of it."""
        return features.energy_N * state["sign"][0]
