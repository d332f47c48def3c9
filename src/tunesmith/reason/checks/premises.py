"""Numbers in a chain that come from nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equations import equations
from tunesmith.reason.given import KNOWN, accounted, given_numbers
from tunesmith.reason.tokens import tokens_of

_MOST = 20


@dataclass(frozen=True)
class Premises:
    """Numbers that are neither given nor computed speak against a chain.

    A number is accounted for if the question has it (in digits or words), if an equation of the chain comes to it, or
    if everybody knows it (7 days, 60 minutes, 100 per cent). A question without numbers says nothing.
    """

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding against for each such number in the order of the text (20 at most), or one for."""
        given = given_numbers(question)
        if not given:
            return []
        made = [value for equation in equations(chain.written) for value in equation.right.values]
        known = KNOWN | frozenset(given) | frozenset(made)
        numbers = [token for token in tokens_of(chain.written) if token.value is not None]
        strange = [token for token in numbers if token.value is not None and not accounted(token.value, known)]
        if numbers and not strange:
            return [Finding(check="premises", verdict="for", detail="every number is given or computed")]
        return [
            Finding(
                check="premises",
                verdict="against",
                detail=f"{token.text} comes from nowhere",
                span=(token.start, token.end),
            )
            for token in strange[:_MOST]
        ]
