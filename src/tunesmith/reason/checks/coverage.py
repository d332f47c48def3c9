"""Given numbers that a chain never uses."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.given import accounted, given_numbers
from tunesmith.reason.numerals import shown
from tunesmith.reason.tokens import tokens_of


@dataclass(frozen=True)
class Coverage:
    """Given numbers that a chain never uses speak against it: most questions give what is needed and no more.

    How much that weighs, a fusion learns on held-out data; where questions give more than is needed, it will be little.
    """

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding against for each given number but 1 that is left out; one for where all are used."""
        used = frozenset(token.value for token in tokens_of(chain.written) if token.value is not None)
        given = [value for value in given_numbers(question) if value != 1]
        left = [value for value in given if not accounted(value, used)]
        if given and used and not left:
            return [Finding(check="coverage", verdict="for", detail="every given number is used")]
        unused = left if used else []
        return [
            Finding(check="coverage", verdict="against", detail=f"{shown(value)} is given and not used")
            for value in unused
        ]
