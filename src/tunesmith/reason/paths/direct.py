"""One greedy path: the model's likeliest answer, with whatever reasoning it writes before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.types import Answer


@dataclass(frozen=True)
class Direct:
    """One greedy path per question."""

    def answer(self, answerer: Answerer, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """The answerer's own answers."""
        return answerer.answer(conversations, at_most_tokens=at_most_tokens)
