"""The pieces of a text that arithmetic is made of: numbers, words, operators, and what ends an expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tunesmith.reason.numerals import NUMBER, SCALES, narrowed, read_number

_TOKEN = re.compile(
    r"(?P<fraction>\\[dt]?frac\{\d{1,9}\}\{\d{1,9}\}|(?<![\d.,/])\d{1,4} \d{1,3}/\d{1,3}(?![\d.,/]))"
    r"|(?P<number>(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,])(?:\.\d{1,9})?"
    rf"|{NUMBER}(?: ?(?:hundred|thousand|million|billion|trillion)(?![a-z])|[kK](?!\w))?)"
    r"|(?P<word>\\(?:times|cdot|div)(?![a-z])|[^\W\d_]+(?:['’-][^\W\d_]+)*)"
    r"|(?P<skip>\\?[$£€¥]|\\[()\[\],;! ]|\\(?=%))|(?P<equals>[<>!]?={1,3}>?|≈|\\approx)"
    r"|(?P<op>\*\*|[-+*/×÷·^()%])|(?P<line>\n)|(?P<stop>\S)"
)
_SAME = {"×": "*", "·": "*", "÷": "/", "**": "^"}


@dataclass(frozen=True)
class Token:
    """A piece of a text.

    Fields:
        kind: number, word, op, equals, line, or stop (anything else: it ends an expression).
        text: as it stands there, operators in ASCII.
        start, end: its characters in the text.
        value: of numbers only.
        step: one unit of the last digit that is shown, before any scale (1.25 million: 0.01).
        scale: what the word after the number multiplies it by (`million`).
    """

    kind: str
    text: str
    start: int
    end: int
    value: Fraction | None = None
    step: Fraction = Fraction(1)
    scale: int = 1


@lru_cache(maxsize=64)
def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens of a text, in order; currency signs, typesetting commands and emphasis (`**`) are left out.

    Kept for the last texts: several checks read the same chains.
    """
    return tuple(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    plain = narrowed(text)
    for found in _TOKEN.finditer(plain):
        kind, piece, start, end = str(found.lastgroup), found.group(), found.start(), found.end()
        emphasis = piece == "**" and not (plain[start - 1 : start].isdigit() and plain[end : end + 1].isdigit())
        if kind == "skip" or emphasis:
            continue
        if kind not in {"fraction", "number"}:
            yield Token(kind, _SAME.get(piece, piece), start, end)
            continue
        value = None if _is_part(plain, start, end) else read_number(piece)
        scale = SCALES.get(piece.strip("0123456789., ").lower(), 1)
        yield Token("stop" if value is None else "number", piece, start, end, value, _step(piece), scale)


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether what looks like a number is part of a name (`A1`), a time, a version, a list, an endless decimal."""
    before, after = text[max(0, start - 3) : start], text[end : end + 2]
    named = before[-1:] == "_" or (before[-1:].isalpha() and before.isascii() and not before.isalpha())
    timed = before[-1:] == ":" and before[-2:-1].isdigit()
    return named or timed or (len(after) == 2 and after[0] in ".,:" and (after[1].isdigit() or after == ".."))


def _step(piece: str) -> Fraction:
    return Fraction(1, 10 ** sum(c.isdigit() for c in piece.partition(".")[2]))
