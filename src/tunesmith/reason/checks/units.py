"""Quantities in different units of the same kind: `3 hours - 80 minutes = 77 minutes`, `2 feet = 20 inches`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

_MOST_TOKENS = 40
_KINDS = ("[length]", "[time]", "[mass]", "[length] ** 3", "[length] ** 2")


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, in base units; `unit` as it is written, `kind` its dimension."""

    value: Fraction
    step: Fraction
    unit: str
    kind: str


_Sum = tuple[list[Quantity], int, int]
"""Quantities that are added, and the first and last character (exclusive) of their place."""


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
        left, right = _sum_before(line[first + 1 : sign]), _sum_after(line[sign + 1 : last])
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


def _sum_before(tokens: Sequence[Token]) -> _Sum | None:
    """The longest sum of quantities that ends where the tokens end, not in the midst of something larger."""
    window = tokens[-_MOST_TOKENS:]
    for start, token in enumerate(window):
        if token.kind == "number" and (start == 0 or window[start - 1].kind in {"word", "equals"}):
            found = _sum(window[start:])
            if found is not None and found[1] == len(window) - start:
                return found[0], window[start].start, window[-1].end
    return None


def _sum_after(tokens: Sequence[Token]) -> _Sum | None:
    """The sum of quantities that the tokens begin with; None where an operator goes on with something else."""
    found = _sum(tokens[:_MOST_TOKENS])
    if found is None or (found[1] < len(tokens) and tokens[found[1]].kind == "op"):
        return None
    return found[0], tokens[0].start, tokens[found[1] - 1].end


def _sum(tokens: Sequence[Token]) -> tuple[list[Quantity], int] | None:
    """The quantities that are added (subtracted ones negative), and the place behind them."""
    terms: list[Quantity] = []
    place, sign = 0, 1
    while place < len(tokens) and (read := _quantity(tokens, place, sign)) is not None:
        terms.append(read[0])
        place = read[1]
        joint = tokens[place].text if place < len(tokens) else ""
        if joint in {"+", "-", "and"} and _quantity(tokens, place + 1, sign) is not None:
            sign = {"+": 1, "-": -1}.get(joint, sign)
            place += 1
    return (terms, place) if terms else None


def _quantity(tokens: Sequence[Token], place: int, sign: int) -> tuple[Quantity, int] | None:
    """The quantity that begins here, and the place behind it with the words that say of what (`cups of milk`)."""
    if place >= len(tokens):
        return None
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


def _lines(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    line: list[Token] = []
    for token in tokens:
        if token.kind in {"line", "stop"}:
            yield line
            line = []
        else:
            line.append(token)
    yield line
