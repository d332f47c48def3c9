"""A model judges each step."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.types import Message
from tunesmith.reason.chains import Chain, Finding, Verdict
from tunesmith.reason.steps import Step, steps

_ASKED = """\
A question, the steps of a solution so far, and the next step. Is the next step right, given the question and the
steps before it? Answer with one word: yes or no.

Question:
{question}

Steps so far:
{before}

Next step:
{step}"""
_WORD = re.compile(r"\b(yes|no)\b|(正确|不对|错误|是|否)", re.IGNORECASE)
_YES = frozenset(["yes", "正确", "是"])


@dataclass(frozen=True)
class Judge:
    """A model judges each step, given the question and the steps before it (Lightman et al. 2023, arXiv:2305.20050).

    From the shelf it has no model and is silent; `asking` gives it one. Instructions inside a chain reach
    the judge as text to judge; how far it can be talked round is the judge's own weakness, so its say is weighed by its
    record on held-out data like that of any other check.

    Args:
        at_most: steps that are judged; of a longer chain the last ones.
        at_most_tokens: longest judgement.
    """

    at_most: int = 12
    at_most_tokens: int = 8

    def asking(self, answerer: Answerer) -> Judging:
        """This check with a model to ask."""
        return Judging(self, answerer)

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """Nothing: there is no model."""
        return []


@dataclass(frozen=True)
class Judging:
    """`Judge` with the model that judges."""

    how: Judge
    model: Answerer

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each judged step; a judgement that is neither yes nor no is silent."""
        done = steps(chain.written)
        judged = range(max(0, len(done) - self.how.at_most), len(done))
        asked = [[Message(role="user", content=_prompt(question, done, place))] for place in judged]
        said = self.model.answer(asked, at_most_tokens=self.how.at_most_tokens) if asked else []
        return [
            Finding(check="judge", verdict=_verdict(answer.text), detail=done[place].text[:80], span=done[place].span)
            for place, answer in zip(judged, said, strict=True)
        ]


def _prompt(question: Conversation, done: list[Step], place: int) -> str:
    asked = "\n".join(message.content for message in question if message.role != "system")
    before = "\n".join(step.text for step in done[:place]) or "(none)"
    return _ASKED.format(question=asked, before=before, step=done[place].text)


def _verdict(text: str) -> Verdict:
    found = _WORD.search(text)
    if found is None:
        return "silent"
    return "for" if found[0].lower() in _YES else "against"
