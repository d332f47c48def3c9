"""Arithmetic in running text, read as numbers: `$4 per pound * 3 pounds`, `20% of 50`, `2(3 + 1)`.

A hand-written descent over tokens, exact in fractions: no `eval`, no names, no functions, bounded in depth and size.
Words after a number are its unit and do not count; a letter that is no unit (`4x`) makes it algebra, which is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from tunesmith.reason.numerals import ratio
from tunesmith.reason.tokens import Token

_SPOKEN = {"x": "*", "X": "*", "times": "*", "plus": "+", "minus": "-", "of": "of"}
_SPOKEN |= {"\\times": "*", "\\cdot": "*", "\\div": "/"}
_ENDING = frozenset(
    [
        "and",
        "so",
        "because",
        "since",
        "which",
        "then",
        "but",
        "or",
        "if",
        "when",
        "that",
        "is",
        "are",
        "was",
        "were",
        "equals",
    ]
)
_ABOUT = frozenset(["about", "approximately", "around", "roughly", "only", "exactly", "just"])
_SHARES = frozenset(
    ["half", "third", "thirds", "quarter", "quarters", "fourth", "fourths", "fifth", "fifths", "tenth", "tenths"]
)
_MEASURES = frozenset(
    [
        "h",
        "hr",
        "hour",
        "min",
        "minute",
        "sec",
        "second",
        "day",
        "week",
        "month",
        "year",
        "foot",
        "feet",
        "ft",
        "inch",
        "yard",
        "pound",
        "lb",
        "ounce",
        "oz",
        "dollar",
        "cent",
    ]
)
_ORDINALS = frozenset(["st", "nd", "rd", "th"])
_UNIT_LETTERS, _TOUCHING_UNITS = frozenset("aghlmsAJKLNVW"), frozenset("gL")
_MOST_WORDS, _MOST_DEPTH, _MOST_BITS, _MOST_POWER, _MOST_TOKENS = 7, 20, 400, 64, 40

Node = tuple[Any, ...]
"""("n", value, scale), ("%", node), ("neg", node), or (operator, left, right) with operator one of + - * / ^."""


@dataclass(frozen=True)
class Expression:
    """A part of a text that is arithmetic.

    Fields:
        values: what a reader might take it for, likeliest first; at least one.
        operators: how many operators it has.
        start, end: its place in the text.
        first: the number it begins with; in `5 + 3 = 8 * 2 = 16` only that is meant by the first sign.
        digit: one unit of that number's last digit, as a share of the number; 0 for the number 0.
        whole: no token was left over.
    """

    values: tuple[Fraction, ...]
    operators: int
    start: int
    end: int
    first: Fraction
    digit: Fraction
    whole: bool


def expression_at_end(tokens: Sequence[Token]) -> Expression | None:
    """The longest arithmetic that ends where the tokens end; None where there is none, or it is not only numbers."""
    window = tokens[-_MOST_TOKENS:]
    longest: Expression | None = None
    for start in range(len(window)):
        found = _read(window[start:], whole=True) if _may_begin(window, start) else None
        if found and longest is None:
            longest = replace(found, whole=start == 0 and len(window) == len(tokens))
        elif found and longest and found.operators:  # `8 packs of 5 bags * 4`: perhaps only 5 * 4 was meant
            longest = replace(longest, values=_distinct([*longest.values, *found.values]))
    return longest


def expression_at_start(tokens: Sequence[Token]) -> Expression | None:
    """The longest arithmetic that the tokens begin with; None as for `expression_at_end`."""
    skipped = 1 if tokens and tokens[0].text.lower() in _ABOUT else 0
    return _read(tokens[skipped : skipped + _MOST_TOKENS], whole=False)


def _may_begin(tokens: Sequence[Token], place: int) -> bool:
    """Whether an expression may begin here, given the token before it: not in the midst of a larger one."""
    token = tokens[place]
    minus = token.text == "-" and _is_number(tokens, place + 1) and tokens[place + 1].start == token.end
    if not (minus or token.kind == "number" or token.text == "("):
        return False
    if place == 0:
        return True
    before = tokens[place - 1]
    if minus and before.end == token.start:
        return False
    if before.kind == "op":
        return before.text in "()%" and not (before.text == ")" and token.text == "(")
    if before.text == "of" and place > 1:
        return tokens[place - 2].text.lower() not in _SHARES
    return before.text not in _SPOKEN or before.text == "of"


def _is_number(tokens: Sequence[Token], place: int) -> bool:
    return 0 <= place < len(tokens) and tokens[place].kind == "number"


class _Unread(Exception):
    """What stands here is not arithmetic of numbers alone."""


def _read(tokens: Sequence[Token], *, whole: bool) -> Expression | None:
    parser = _Parser(tokens, shares=whole)
    try:
        node = parser.sum()
    except _Unread:
        return None
    ended = parser.at == len(tokens)
    if not ended and (whole or _goes_on(tokens, parser.at)):
        return None
    values = _values(node)
    if not values:
        return None
    first = parser.first
    start, end = tokens[0].start, tokens[parser.at - 1].end
    value = first.value or Fraction(0)
    digit = first.step * first.scale / value if value else Fraction(0)
    return Expression(values, parser.operators, start, end, value, digit, ended)


def _goes_on(tokens: Sequence[Token], at: int) -> bool:
    """Whether a quantity goes on after what was read: `1 hour 28 minutes`, `1 hour and 28 minutes`."""
    unit = tokens[at - 1].text
    return _is_measure(unit) and _is_number(tokens, at + 1 if tokens[at].text == "and" else at)


def _is_measure(word: str) -> bool:
    plain = word.lower()
    return bool({plain, plain.removesuffix("s"), plain.removesuffix("es")} & _MEASURES)


class _Parser:
    """Reads one expression from the first token on; `at` is where it ended. Raises _Unread.

    With `shares`, `of` multiplies; a result like `6 packages of 3` has nothing to multiply.
    """

    def __init__(self, tokens: Sequence[Token], *, shares: bool) -> None:
        self.tokens, self.shares = tokens, shares
        self.at = self.operators = self.depth = 0

    @property
    def first(self) -> Token:
        """The first number."""
        return next(token for token in self.tokens if token.kind == "number")

    def token(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def sum(self) -> Node:
        node = self.product()
        while sign := self.infix("+", "-"):
            node = (sign, node, self.operand(self.product))
        return node

    def product(self) -> Node:
        node = self.power()
        while True:
            if sign := self.infix("*", "/", "of"):
                node = ("*" if sign == "of" else sign, node, self.operand(self.power))
            elif self.touching_bracket():
                self.operators += 1
                node = ("*", node, self.power())
            else:
                return node

    def power(self) -> Node:
        base = self.atom()
        return ("^", base, self.operand(self.power)) if self.infix("^") else base

    def operand(self, read: Callable[[], Node]) -> Node:
        self.at += 1
        self.operators += 1
        return read()

    def infix(self, *wanted: str) -> str:
        """The operator that comes next, if it is one of `wanted` and has a number or bracket after it."""
        token = self.token()
        sign = "" if token is None else token.text if token.kind == "op" else _SPOKEN.get(token.text, "")
        if token is None or sign in {"", "(", ")", "%"} or (sign == "of" and not self.shares):
            return ""
        if self.begins_operand(1):
            self.refuse_variable(token)
            return sign if sign in wanted else ""
        following = self.token(1)
        spaced = following is None or token.end < following.start
        if (token.kind == "word" and sign != "*") or token.text == "times" or (sign == "-" and spaced):
            return ""  # a word, or a dash between words
        raise _Unread

    def refuse_variable(self, sign: Token) -> None:
        """`5x-5` has a variable; `16 seconds/20 feet` is a rate, whose place in a division nobody can tell."""
        following = self.token(1)
        touching = self.tokens[self.at - 1].end == sign.start
        if sign.text in {"x", "X"} and touching and following and following.start > sign.end:
            raise _Unread
        if sign.text in {"x", "X"} and following and following.text == "-":
            raise _Unread
        unit, after = self.tokens[self.at - 1].kind == "word", self.token(2)
        if sign.text == "/" and unit and touching and after and after.kind == "word":
            raise _Unread

    def begins_operand(self, ahead: int) -> bool:
        token = self.token(ahead)
        while token is not None and token.text in {"(", "-"}:
            ahead += 1
            token = self.token(ahead)
        return token is not None and token.kind == "number"

    def touching_bracket(self) -> bool:
        token = self.token()
        touching = token is not None and token.text == "(" and self.tokens[self.at - 1].end == token.start
        return touching and self.begins_operand(0)

    def atom(self) -> Node:
        token = self.token()
        self.depth += 1
        if token is None or self.depth > _MOST_DEPTH:
            raise _Unread
        self.at += 1
        if token.text == "-":
            node: Node = ("neg", self.atom())
        elif token.text == "(":
            node = self.bracket()
        elif token.value is not None:
            node = ("n", token.value, token.scale)
            self.units()
        else:
            raise _Unread
        self.depth -= 1
        percent = self.token()
        if percent is not None and percent.text.lower() in {"%", "percent"}:
            self.at += 1
            self.units()
            node = ("%", node)
        return node

    def bracket(self) -> Node:
        node = self.sum()
        closing = self.token()
        if closing is None or closing.text != ")":
            raise _Unread
        self.at += 1
        self.units()
        return node

    def units(self) -> None:
        """Words that belong to the number before them: `new arms`, `miles/hour`, `m^2`."""
        for _ in range(_MOST_WORDS):
            token, following = self.token(), self.token(1)
            if token is None:
                return
            per = token.text == "/" and following is not None and following.kind == "word"
            raised = (
                token.text == "^" and self.tokens[self.at - 1].kind == "word" and _is_number(self.tokens, self.at + 1)
            )
            if per or raised:
                self.at += 2
            elif (
                token.kind != "word"
                or token.text.lower() in _ENDING
                or token.text.lower() == "percent"
                or (token.text in _SPOKEN and self.begins_operand(1))
            ):
                return
            elif self.is_variable(token) or (token.text == "of" and self.tokens[self.at - 2].text == "/"):
                raise _Unread  # `1/4 of the tank` is a share of something that has no number
            else:
                self.at += 1

    def is_variable(self, token: Token) -> bool:
        """A letter that is no unit: `4x`, `3 y`; also the ending of `3rd`."""
        if token.text in {"x", "X"} or token.text in _ORDINALS:
            return True
        if len(token.text) > 1 or not token.text.isascii():
            return False
        touching, following = self.tokens[self.at - 1].end == token.start, self.token(1)
        if touching:
            return token.text not in _TOUCHING_UNITS
        ends = following is None or following.kind in {"op", "equals"}
        return token.text not in _UNIT_LETTERS and (ends or token.text.islower())


def _values(node: Node) -> tuple[Fraction, ...]:
    """The values under every way to read per cent and scale words, likeliest first."""
    ways = ("plain", "points", "relative", "unscaled")
    return _distinct(value for way in ways if (value := _value(node, way)) is not None)


def _distinct(values: Iterable[Fraction]) -> tuple[Fraction, ...]:
    return tuple(dict.fromkeys(values))


def _value(node: Node, way: str) -> Fraction | None:
    """Exactly; None for what has no value (division by zero, odd roots) or is too large to be meant."""
    kind = node[0]
    if kind == "n":
        return Fraction(node[1] / node[2]) if way == "unscaled" else Fraction(node[1])
    if kind in {"%", "neg"}:
        inner = _value(node[1], way)
        if inner is None or kind == "neg":
            return None if inner is None else -inner
        return inner if way == "points" else inner / 100
    left, right = _value(node[1], way), _value(node[2], way)
    if left is None or right is None:
        return None
    if way == "relative" and kind in "+-" and node[2][0] == "%" and node[1][0] != "%":
        right = left * right
    value = _combined(kind, left, right)
    small = value is not None and max(value.numerator.bit_length(), value.denominator.bit_length()) <= _MOST_BITS
    return value if small else None


def _combined(operator: str, left: Fraction, right: Fraction) -> Fraction | None:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "/":
        return ratio(left, right)
    size = max(left.numerator.bit_length(), left.denominator.bit_length()) * abs(right)
    if right.denominator != 1 or abs(right) > _MOST_POWER or size > _MOST_BITS or (right < 0 and not left):
        return None
    return Fraction(left ** int(right))
