"""The shelf of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Answer

PATHS = Shelf("paths", "tunesmith.reason.paths")
"""Ways of reasoning."""


class Paths(Protocol):
    """A way of reasoning: asks the model as often as it needs, and makes one answer of what it says."""

    def answer(self, answerer: Answerer, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order; the same input gives the same answers."""
        ...
