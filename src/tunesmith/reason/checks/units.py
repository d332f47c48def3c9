"""Quantities in different units of the same kind: `3 hours - 80 minutes = 77 minutes`, `2 feet = 20 inches`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding, Verdict
from tunesmith.reason.quantities import base_of, registry, unit_of
from tunesmith.reason.tokens import Token, tokens_of

_EVERYDAY = frozenset(
    [
        "point",
        "points",
        "hand",
        "hands",
        "rod",
        "rods",
        "chain",
        "chains",
        "link",
        "links",
        "pole",
        "poles",
        "in",
        "at",
        "are",
        "a",
        "as",
        "mark",
        "marks",
    ]
)
"""Words that pint takes for units and running text does not."""

_KINDS = ("[length]", "[time]", "[mass]", "[length] ** 3", "[length] ** 2")


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, in base units; `unit` as it is written, `kind` its dimension."""

    value: Fraction
    step: Fraction
    unit: str
    kind: str


@dataclass(frozen=True)
class Units:
    """Sums and conversions over different units, computed in one unit (needs pint).

    Only where every number has a unit of length, time, mass, area or volume, and not all have the same: what has one
    unit is arithmetic's. Kinds that do not go together are left alone: `60 miles = 1 hour` is a rate.
    """

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each equation over different units of one kind.

        Raises:
            MissingLibrary: pint is not installed.
        """
        registry()
        return [finding for line in _lines(tokens_of(chain.written)) for finding in _line(line, chain.written)]


def _line(line: Sequence[Token], written: str) -> Iterator[Finding]:
    places = [-1, *(place for place, token in enumerate(line) if token.text == "="), len(line)]
    for (first, sign), (_, last) in pairwise(pairwise(places)):
        left, right = _sum(line[first + 1 : sign], at_end=True), _sum(line[sign + 1 : last], at_end=False)
        if left is None or right is None:
            continue
        terms = [*left[0], *right[0]]
        if len({term.kind for term in terms}) != 1 or len({term.unit for term in terms}) == 1:
            continue
        above, below = (sum((term.value for term in side), Fraction(0)) for side in (left[0], right[0]))
        verdict: Verdict = "for" if abs(above - below) < max(right[0][-1].step, abs(above) / 10**9) else "against"
        span = left[1], right[2]
        detail = " ".join(written[slice(*span)].split())
        yield Finding(check="units", verdict=verdict, detail=detail, span=span)


def _sum(tokens: Sequence[Token], *, at_end: bool) -> tuple[list[Quantity], int, int] | None:
    """The quantities that are added (subtracted ones negative), with their place; None where something else stands."""
    terms: list[Quantity] = []
    place = _first_of_last_run(tokens) if at_end else 0
    start = place
    sign = 1
    while place < len(tokens):
        read = _quantity(tokens, place, sign)
        if read is None:
            break
        terms.append(read[0])
        place = read[1]
        joined = place < len(tokens) and tokens[place].text in {"+", "-", "and"}
        compound = place < len(tokens) and tokens[place].kind == "number"
        if not joined and not compound:
            break
        sign = -1 if joined and tokens[place].text == "-" else (1 if joined and tokens[place].text == "+" else sign)
        place += 1 if joined else 0
    if not terms or (at_end and place < len(tokens)) or (place < len(tokens) and tokens[place].kind == "op"):
        return None
    return terms, tokens[start].start, tokens[place - 1].end


def _first_of_last_run(tokens: Sequence[Token]) -> int:
    """Where the last run of numbers, words right behind them, and plus or minus begins."""
    place = len(tokens)
    start = place
    while place > 0:
        place -= 1
        token = tokens[place]
        if token.kind == "number":
            start = place
        elif token.kind not in {"word", "op"} or (token.kind == "op" and token.text not in {"+", "-"}):
            return start if token.kind != "op" else len(tokens)
        elif token.kind == "word" and start == place + 1 and token.text != "and":
            return start
    return start


def _quantity(tokens: Sequence[Token], place: int, sign: int) -> tuple[Quantity, int] | None:
    """The quantity that begins here, and the place behind it with the words that say of what (`cups of milk`)."""
    token = tokens[place]
    word = tokens[place + 1] if place + 1 < len(tokens) else None
    if token.value is None or word is None or word.kind != "word" or word.text.lower() in _EVERYDAY:
        return None
    unit = unit_of(word.text if len(word.text) < 3 else word.text.lower())
    kind = str(unit.dimensionality) if unit is not None else ""
    if kind not in _KINDS:
        return None
    value, _ = base_of(token.value, unit)
    step, _ = base_of(token.step, unit)
    behind = place + 2
    while behind < len(tokens) and tokens[behind].kind == "word" and tokens[behind].text != "and":
        behind += 1
    return Quantity(sign * value, step, f"{unit}", kind), behind


def _lines(tokens: Iterator[Token]) -> Iterator[list[Token]]:
    line: list[Token] = []
    for token in tokens:
        if token.kind in {"line", "stop"}:
            yield line
            line = []
        else:
            line.append(token)
    yield line
