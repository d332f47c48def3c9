r"""Numbers as people write them, as exact fractions: `1,234.50`, `12 000`, `3/4`, `2 1/2`, `25k`, `\frac{1}{2}`.

Whatever is too long to be a number that somebody means (more than 30 digits, an exponent beyond 30) is no number, so no
text makes reading slow or memory swell.
"""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 30

NUMBER = r"(?:\d(?:[\d,]*\d)?(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3}(?!\w))?"
"""What looks like one unsigned number; `number` says whether it is one. Searching for it takes linear time."""

SCALES = {
    "k": 10**3,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "万": 10**4,
    "亿": 10**8,
}
"""Words that multiply the number before them."""

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | dict.fromkeys((0x3000, 0xA0, 0x202F), 0x20)
_MINUS = dict.fromkeys((0x2212, 0x2013, 0xFF0D), 0x2D)
_WELL_FORMED = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SPACED = re.compile(r"\d{1,3}(?: \d{3})+(?:\.\d{1,12})?")
_FRACTION = re.compile(r"(?:(\d{1,9}) )?(\d{1,9}) ?/ ?(\d{1,9})")
_LATEX = re.compile(r"\\[dt]?frac ?\{ ?(-?\d{1,9}) ?\} ?\{ ?(\d{1,9}) ?\}")
_SCALED = re.compile(rf"({NUMBER}) ?({'|'.join(SCALES)})?", re.IGNORECASE)
_MOST_PLACES = 6


def narrowed(text: str) -> str:
    """Full-width characters, odd spaces and typographic minus signs as ASCII; of the same length, so spans stay."""
    return text.translate(_WIDE | _MINUS)


def number(text: str) -> Fraction | None:
    """The value of one unsigned number as `NUMBER` finds it; None where it is ill-formed (`3,2`) or too long."""
    if not _WELL_FORMED.fullmatch(text):
        return None
    mantissa, _, power = text.replace(",", "").lower().partition("e")
    if len(mantissa) > MOST_DIGITS or (power and abs(int(power)) > MOST_DIGITS):
        return None
    return Fraction(f"{mantissa}e{power}" if power else mantissa)


def read_number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else, with sign, scale word, or as a fraction; else None."""
    bare = narrowed(text).strip()
    sign = -1 if bare.startswith("-") else 1
    bare = bare[1:].strip() if bare[:1] in {"+", "-"} else bare
    value = _unsigned(bare)
    return None if value is None else sign * value


def _unsigned(bare: str) -> Fraction | None:
    if bare.isdecimal() and len(bare) <= MOST_DIGITS:  # most are
        return Fraction(int(bare))
    if latex := _LATEX.fullmatch(bare):
        return ratio(int(latex[1]), int(latex[2]))
    if parts := _FRACTION.fullmatch(bare):
        part = ratio(int(parts[2]), int(parts[3]))
        return None if part is None else int(parts[1] or 0) + part
    if _SPACED.fullmatch(bare):
        return number(bare.replace(" ", ""))
    scaled = _SCALED.fullmatch(bare)
    value = number(scaled[1]) if scaled else None
    return value if scaled is None or value is None else value * SCALES.get((scaled[2] or "").lower(), 1)


def ratio(above: int | Fraction, below: int | Fraction) -> Fraction | None:
    """`above / below`; None for division by zero."""
    return Fraction(above) / below if below else None


def shown(value: Fraction) -> str:
    """A number in one form: whole numbers in full, others rounded to six decimals (six digits that count below 1)."""
    places = _MOST_PLACES
    if value and abs(value) < 1:
        places += max(0, len(str(value.denominator // abs(value.numerator))) - 1)
    scaled = round(abs(value) * 10 ** min(places, MOST_DIGITS))
    whole, part = divmod(scaled, 10 ** min(places, MOST_DIGITS))
    digits = f"{whole}.{part:0{min(places, MOST_DIGITS)}d}".rstrip("0").rstrip(".")
    return f"-{digits}" if value < 0 and scaled else digits
