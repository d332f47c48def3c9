"""The question as it stands: what an expert was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.reason.paths._asking import Asking


@dataclass(frozen=True)
class Direct(Asking):
    """The question as it stands, one greedy chain; an expert that was tuned with chains reasons by itself."""
