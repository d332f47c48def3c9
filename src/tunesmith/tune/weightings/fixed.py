"""Weights as the project file has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.tune.objective import Weighting


@dataclass(frozen=True)
class Fixed:
    """The weights stay as the project file has them."""

    def begin(self, weights: Mapping[str, float]) -> Weighting:
        """The weighting at work for terms with these names and weights."""
        return Weighting()
