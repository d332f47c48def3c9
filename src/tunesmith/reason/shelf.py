"""The shelves of this room, and what lies on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Answer
from tunesmith.reason.chains import Chain, Finding, Fused

PATHS = Shelf("paths", "tunesmith.reason.paths")
"""Ways of reasoning."""

CHECKS = Shelf("checks", "tunesmith.reason.checks")
"""What looks for mistakes in a chain."""

FUSIONS = Shelf("fusions", "tunesmith.reason.fusions")
"""Ways to make one answer of many chains."""


class Paths(Protocol):
    """A way of reasoning: asks the model as often as it needs, and makes one answer of what it says."""

    def answer(self, answerer: Answerer, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order; the same input gives the same answers."""
        ...


class Check(Protocol):
    """Looks at a chain, never at the right answer. Deterministic; what it cannot judge it is silent about."""

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """What speaks for or against the chain, in the order of its text; empty is silent."""
        ...


class Fusion(Protocol):
    """Makes one answer of chains."""

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        """What held-out questions teach: sources' records, checks' likelihood ratios, calibration.

        Args:
            questions: the chains of each question, and its right conclusion in canonical form.

        Returns:
            JSON values for `fuse`; empty where this fusion learns nothing.
        """
        ...

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        """The chains' answer; chains that are unscored or without a conclusion have no vote.

        Args:
            chains: of one question, in the order they were drawn.
            learnt: of `learn`; empty: the fusion's defaults.
        """
        ...
