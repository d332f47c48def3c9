"""Equations in running text: where they stand, and whether they hold.

`She sells 16 eggs - 3 eggs = 13 eggs` says 16 - 3 = 13. What cannot be read as numbers (`4x + 1 = 9`) is no equation
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from tunesmith.reason.expressions import Expression, expression_at_end, expression_at_start
from tunesmith.reason.tokens import Token, tokens_of

Standing = Literal["holds", "rounded", "fails"]

_SIGNS = frozenset(["=", "≈", "\\approx"])
_NEAR = Fraction(1, 50)
_FLOATING = Fraction(1, 10**9)
_MOST_SIGNS = 2000


@dataclass(frozen=True)
class Equation:
    """Two expressions that a text says are equal.

    Fields:
        left, right: its sides.
        continues: another sign of equality follows the right side.
        about: the text says "about" (≈).
    """

    left: Expression
    right: Expression
    continues: bool = False
    about: bool = False

    @property
    def standing(self) -> Standing:
        """How far it is true under the kindest reading of both sides.

        `holds`: equal. `rounded`: equal when the result is rounded or cut at the last digit that is shown (or within
        2 % where the text says "about"), but not cut down to nothing. `fails`: neither.
        """
        found = {self._compared(left, right) for left in self.left.values for right in self._rights()}
        return "holds" if "holds" in found else "rounded" if "rounded" in found else "fails"

    @property
    def expected(self) -> Fraction:
        """What the left side comes to."""
        return self.left.values[0]

    def _rights(self) -> Iterator[tuple[Fraction, Fraction | None]]:
        """The right side's values, each with one unit of its last digit, where it is a number alone."""
        alone = self.right.operators == 0
        yield from ((value, abs(value) * self.right.digit if alone else None) for value in self.right.values)
        if self.continues:
            yield self.right.first, abs(self.right.first) * self.right.digit

    def _compared(self, left: Fraction, right: tuple[Fraction, Fraction | None]) -> Standing:
        value, step = right
        if left == value:
            return "holds"
        off = abs(left - value)
        if off <= _FLOATING * abs(left):
            return "holds"
        if value and ((step is not None and off < step) or (self.about and off <= _NEAR * abs(left))):
            return "rounded"
        return "fails"


@lru_cache(maxsize=64)
def equations(text: str) -> tuple[Equation, ...]:
    """The equations of a text in order; the left side of each has an operator, or is a result that goes on.

    Of a text with more than 2,000 signs of equality the rest is not read. Kept for the last texts: checks, conclusion
    and fusion all read the same chains.
    """
    return tuple(_equations(text))


def _equations(text: str) -> Iterator[Equation]:
    signs = 0
    for line in _lines(tokens_of(text)):
        places = [place for place, token in enumerate(line) if token.kind == "equals"]
        signs += len(places)
        if signs > _MOST_SIGNS:
            return
        bounds = [-1, *places, len(line)]
        sides = [line[first + 1 : last] for first, last in pairwise(bounds)]
        for number, place in enumerate(places):
            if line[place].text in _SIGNS:
                yield from _equation(
                    line[place], sides[number], sides[number + 1], inner=(number > 0, number + 1 < len(places))
                )


def _equation(sign: Token, before: list[Token], after: list[Token], *, inner: tuple[bool, bool]) -> Iterator[Equation]:
    left, right = expression_at_end(before), expression_at_start(after)
    if left is None or right is None:
        return
    result_that_goes_on = inner[0] and left.whole and right.operators
    if left.operators or result_that_goes_on:
        yield Equation(left, right, continues=inner[1], about=sign.text != "=")


def _lines(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens line by line, a bullet at the beginning left out."""
    line: list[Token] = []
    for token in tokens:
        if token.kind != "line":
            line.append(token)
        elif line:
            yield _unbulleted(line)
            line = []
    if line:
        yield _unbulleted(line)


def _unbulleted(line: list[Token]) -> list[Token]:
    bullet = len(line) > 1 and line[0].text in {"-", "*"} and line[1].start > line[0].end
    return line[1:] if bullet else line
