"""From the answer back to the question: a number is hidden, and the answer must give it back."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.types import Message
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.conclude import conclusion
from tunesmith.reason.equal import Equal
from tunesmith.reason.numerals import shown
from tunesmith.reason.tokens import Token, tokens_of

_ASKED = """\
{question}

The answer to this question is {answer}. What is the value of X? Answer with X only."""


@dataclass(frozen=True)
class RoundTrip:
    """Hides one number of the question behind X, tells the answer, and asks for X (Weng et al. 2023, arXiv:2212.09561).

    From the shelf it has no model and is silent; `asking` gives it one. Needs a question with numbers.

    Args:
        at_most: numbers of the question that are hidden, one at a time, from the first on.
        at_most_tokens: longest answer.
    """

    at_most: int = 3
    at_most_tokens: int = 256

    def asking(self, answerer: Answerer) -> RoundTripping:
        """This check with a model to ask."""
        return RoundTripping(self, answerer)

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """Nothing: there is no model."""
        return []


@dataclass(frozen=True)
class RoundTripping:
    """`RoundTrip` with the model that is asked."""

    how: RoundTrip
    model: Answerer

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each hidden number: for where it comes back, against where another one does."""
        if chain.conclusion is None or not question:
            return []
        text = question[-1].content
        hidden = [token for token in tokens_of(text) if token.value is not None][: self.how.at_most]
        asked = [
            [*question[:-1], Message(role="user", content=_prompt(text, token, chain.conclusion))] for token in hidden
        ]
        said = self.model.answer(asked, at_most_tokens=self.how.at_most_tokens) if asked else []
        return [_finding(token, answer.text) for token, answer in zip(hidden, said, strict=True)]


def _prompt(text: str, token: Token, answer: str) -> str:
    return _ASKED.format(question=text[: token.start] + "X" + text[token.end :], answer=answer)


def _finding(token: Token, said: str) -> Finding:
    found = conclusion(said, Equal("number"))
    if found is None or token.value is None:
        return Finding(check="round_trip", verdict="silent", detail=f"{token.text}: no number came back")
    back = found.canonical == shown(token.value)
    return Finding(
        check="round_trip", verdict="for" if back else "against", detail=f"{token.text} came back as {found.canonical}"
    )
