"""Numbers that come from nowhere, and given numbers that are never used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equations import equations
from tunesmith.reason.numerals import shown
from tunesmith.reason.tokens import Token, tokens_of

_WORDS = {
    word: Fraction(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
    )
}
_WORDS |= {
    "once": Fraction(1),
    "twice": Fraction(2),
    "double": Fraction(2),
    "triple": Fraction(3),
    "half": Fraction(1, 2),
}
_WORDS |= {
    "thirty": Fraction(30),
    "forty": Fraction(40),
    "fifty": Fraction(50),
    "dozen": Fraction(12),
    "hundred": Fraction(100),
}
_WORDS |= {"third": Fraction(1, 3), "quarter": Fraction(1, 4), "fourth": Fraction(1, 4), "fifth": Fraction(1, 5)}
_KNOWN = frozenset(Fraction(value) for value in (0, 1, 2, 3, 4, 5, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000))
"""Numbers that everybody may bring along: small counts, calendar and clock, per cent and thousands."""

_PARTS = re.compile(r"[-\s]")


@dataclass(frozen=True)
class Premises:
    """Numbers that come from nowhere speak against a chain, so do given numbers that it never uses.

    A number is accounted for if the question has it (in digits or words), if an earlier equation came to it, or if
    everybody knows it (7 days, 60 minutes, 100 per cent).

    Args:
        unused: whether given numbers that the chain leaves out are told too.
    """

    unused: bool = True

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """Findings against in the order of the text, unused numbers last; one finding for the chain where all is well."""
        asked = [token for message in question for token in tokens_of(message.content)]
        given = dict.fromkeys(_numbers(asked))
        if not given:
            return []
        written = chain.written
        made = {value for equation in equations(written) for value in (*equation.left.values, *equation.right.values)}
        numbers = [token for token in tokens_of(written) if token.value is not None]
        known = _KNOWN | set(given) | made
        strange = [token for token in numbers if token.value is not None and not _is_known(token.value, known)]
        used = {token.value for token in numbers}
        found = [
            Finding(
                check="premises", verdict="against", detail=f"{one.text} comes from nowhere", span=(one.start, one.end)
            )
            for one in strange[:50]
        ]
        if self.unused and numbers:
            left = [value for value in given if value > 1 and not _is_known(value, used)]
            found += [
                Finding(check="premises", verdict="against", detail=f"{shown(value)} is given and not used")
                for value in left
            ]
        return found or [Finding(check="premises", verdict="for", detail="every number is given or computed")]


def _is_known(value: Fraction | None, known: Iterable[Fraction | None]) -> bool:
    """Whether a number, its share of a hundred, or its complement to one or a hundred is known."""
    if value is None:
        return True
    forms = {value, value * 100, value / 100, 1 - value, 100 - value, 1 + value, 1 / value if value else value}
    return not forms.isdisjoint(set(known))


def _numbers(tokens: Iterable[Token]) -> Iterable[Fraction]:
    """The numbers of a question, in digits and in words."""
    for token in tokens:
        if token.value is not None:
            yield token.value
        for part in _PARTS.split(token.text.lower()) if token.kind == "word" else ():
            if (value := _WORDS.get(part.removesuffix("s") if part not in _WORDS else part)) is not None:
                yield value
