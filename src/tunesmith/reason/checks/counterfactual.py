"""A premise is changed, the model is asked again, and its conclusion should follow."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.reason import counterfactual
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equal import Equal


@dataclass(frozen=True)
class Counterfactual:
    """A number of the question is changed, the model is asked again, and its conclusion should follow.

    What should come out, the chain's own equations say (`tunesmith.reason.counterfactual`). From the shelf it has no
    model and is silent; `asking` gives it the one whose chain it is.

    Args:
        at_most: numbers that are changed, one at a time.
        at_most_tokens: longest answer.
        seed: which numbers become what.
    """

    at_most: int = 2
    at_most_tokens: int = 512
    seed: int = 0

    def asking(self, answerer: Answerer) -> AskingAgain:
        """This check with a model to ask."""
        return AskingAgain(self, answerer)

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """Nothing: there is no model."""
        return []


@dataclass(frozen=True)
class AskingAgain:
    """`Counterfactual` with the model that is asked."""

    how: Counterfactual
    model: Answerer

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for the chain; none where the question has no number or the chain no conclusion."""
        changes = counterfactual.number_changes(question, seed=self.how.seed, at_most=self.how.at_most)
        if not changes or chain.conclusion is None:
            return []
        asked = counterfactual.ask_again(
            self.model, chain, changes, equal=Equal("number"), at_most_tokens=self.how.at_most_tokens
        )
        return [counterfactual.Faithfulness(tuple(asked)).finding()]
