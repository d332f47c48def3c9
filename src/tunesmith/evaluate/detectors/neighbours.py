"""Detector: distance of hidden states to the nearest training questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tunesmith.evaluate.detectors._detector import State
from tunesmith.models.features import Features, Floats


@dataclass(frozen=True)
class Neighbours:
    """Cosine distance to the k-th nearest training question, states centred and scaled (Sun et al. 2022).

    Assumes nothing of the domain's shape, which may be several heaps of questions.

    Args:
        k: which neighbour.
        layer: whose states are compared: a tenth up, half way, or the last, which told most of the three.
        at_most: training questions that are kept, evenly taken.
    """

    k: Annotated[int, Field(ge=1)] = 1
    layer: Literal["early", "middle", "last"] = "last"
    at_most: Annotated[int, Field(ge=10)] = 2000

    def fit(self, seen: Features, general: Features) -> State:
        """The training questions' states, at most `at_most`."""
        import numpy as np

        own = self._states(seen)
        both = np.concatenate([own, self._states(general)])
        centre, scale = both.mean(0), both.std(0) + 1e-9
        chosen = np.linspace(0, len(seen) - 1, min(self.at_most, len(seen))).astype(np.int64)
        return {"centre": centre, "scale": scale, "kept": _unit((own[chosen] - centre) / scale)}

    def score(self, state: State, features: Features) -> Floats:
        """One minus the cosine to the k-th nearest."""
        import numpy as np

        cosines = _unit((self._states(features) - state["centre"]) / state["scale"]) @ state["kept"].T
        k = min(self.k, cosines.shape[1])
        found: Floats = 1.0 - np.partition(cosines, -k, axis=1)[:, -k]
        return found

    def _states(self, features: Features) -> Floats:
        return features.layer(("early", "middle", "last").index(self.layer))


def _unit(rows_ND: Floats) -> Floats:
    import numpy as np

    found: Floats = rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-12)
    return found
