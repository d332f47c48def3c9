"""Models that say what a test tells them, and checks and fusions in small."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Base, Likelihood, Message, Sampling, Usage
from tunesmith.models.chat import Chat
from tunesmith.reason.chains import Chain, Finding, Fused

Says = Callable[[Conversation, int], "str | Answer"]
"""A conversation and the number of the draw -> what is said."""


def asked(text: str, system: str = "") -> list[Message]:
    turns = [Message(role="system", content=system)] if system else []
    return [*turns, Message(role="user", content=text)]


@dataclass
class Drawer:
    """A sampler that says what a function tells it, and notes what it was asked."""

    says: Says
    name: str = "drawer"
    asked: list[tuple[list[Message], range, Sampling]] = field(default_factory=list)

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        greedy = Sampling(temperature=0)
        draws = [range(1)] * len(conversations)
        said = self.sample(conversations, draws=draws, at_most_tokens=at_most_tokens, how=greedy)
        return [answers[0] for answers in said]

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        self.asked += [(list(c), some, how) for c, some in zip(conversations, draws, strict=True)]
        return [[self._said(c, n) for n in some] for c, some in zip(conversations, draws, strict=True)]

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        return [[Likelihood(log_probability=-1.0, tokens=1) for _ in some] for some in options]

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return [Likelihood(log_probability=-2.0, tokens=2) for _ in texts]

    def _said(self, conversation: Conversation, number: int) -> Answer:
        said = self.says(conversation, number)
        return said if isinstance(said, Answer) else Answer(text=said, usage=Usage(prompt_tokens=3, answer_tokens=5))


class Votes:
    """The commonest conclusion; its share of all votes is its probability."""

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        return {"rows": len(questions)}

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        votes = Counter(chain.conclusion for chain in chains if chain.conclusion is not None and not chain.unscored)
        if not votes:
            return Fused(conclusion=None, probability=0.0, posterior={}, chosen=None)
        best = votes.most_common(1)[0][0]
        shares = {str(name): count / votes.total() for name, count in votes.items()}
        chosen = next(n for n, chain in enumerate(chains) if chain.conclusion == best)
        return Fused(conclusion=best, probability=shares[str(best)], posterior=shares, chosen=chosen)


class NoSevens:
    """Speaks against chains in which a 7 stands."""

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        if found := re.search("7", chain.written):
            return [Finding(check="no_sevens", verdict="against", detail="a seven", span=found.span())]
        return []


def base_in(folder: Path) -> Base:
    """A base whose files lie in `folder`; the figures are nobody's."""
    return Base(
        id="base-1", name="tiny", revision="", digest="", architecture="LlamaForCausalLM", parameters=1,
        active_parameters=1, layers=2, hidden=32, vocabulary=400, context=512, path=str(folder),
        chat_template_hash=Chat.of(folder).hash,
    )  # fmt: skip
