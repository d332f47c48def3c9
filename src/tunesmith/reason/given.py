"""The numbers that a question gives, and when a number in a chain is accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from tunesmith.core.protocols import Conversation
from tunesmith.reason.tokens import Token, tokens_of

_COUNTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_SPELT = {word: Fraction(value) for value, word in enumerate(_COUNTED.split(" "))} | {
    "once": Fraction(1),
    "twice": Fraction(2),
    "double": Fraction(2),
    "triple": Fraction(3),
    "thirty": Fraction(30),
    "forty": Fraction(40),
    "fifty": Fraction(50),
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "half": Fraction(1, 2),
    "third": Fraction(1, 3),
    "quarter": Fraction(1, 4),
    "fourth": Fraction(1, 4),
    "fifth": Fraction(1, 5),
}
KNOWN = frozenset(Fraction(value) for value in (0, 1, 2, 3, 4, 5, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000))
"""Numbers that everybody may bring along: small counts, calendar and clock, per cent and thousands."""

_PARTS = re.compile(r"[-\s]")


def given_numbers(question: Conversation) -> list[Fraction]:
    """The numbers of a conversation, in digits and in words, each once, in order."""
    return list(dict.fromkeys(value for message in question for value in _numbers(tokens_of(message.content))))


def accounted(value: Fraction, known: frozenset[Fraction]) -> bool:
    """Whether a number is known: itself, as a share of a hundred, what a share leaves or adds to, its inverse."""
    if value in known:
        return True
    forms = {value * 100, value / 100, 100 - value} | ({1 / value} if value else set())
    if value.denominator != 1:  # 0.8 and 1.2 are 20 % less and more
        forms |= {change * scale for change in (1 - value, value - 1) for scale in (1, 100)}
    return not known.isdisjoint(forms)


def _numbers(tokens: Iterable[Token]) -> Iterable[Fraction]:
    for token in tokens:
        if token.value is not None:
            yield token.value
        for part in _PARTS.split(token.text.lower()) if token.kind == "word" else ():
            value = _SPELT.get(part, _SPELT.get(part.removesuffix("s")))
            if value is not None:
                yield value
