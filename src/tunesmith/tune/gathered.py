"""Sums over the micro-batches of a step, for figures that terms tell beside their value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Gathered:
    """Named sums of a step; terms clear them in `begin`, add in `value` and read in `told` or `after_step`."""

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}

    def clear(self) -> None:
        """A step begins."""
        self._sums.clear()

    def add(self, **more: Any) -> None:
        """Add numbers or tensors to the sums of these names."""
        for name, value in more.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def get(self, name: str) -> Any:
        """The sum of this name; 0.0 where nothing was added."""
        return self._sums.get(name, 0.0)

    def means(self, *, of: str, **names: str) -> dict[str, float]:
        """Figure -> the sum that it names, divided by the sum `of`; empty where nothing was counted."""
        count = float(self.get(of))
        return {figure: float(self.get(name)) / count for figure, name in names.items()} if count else {}

    def as_json(self) -> dict[str, Any]:
        """The sums as JSON values: numbers, and lists of them for tensors."""
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in self._sums.items()}

    def take(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Hold the sums of all `parts` (each from `as_json`) and nothing else; as float64 tensors."""
        import torch

        self.clear()
        for part in parts:
            sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in part.items()}
            self.add(**sums)
