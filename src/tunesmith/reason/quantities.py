"""Numbers with units, through pint: `5 km`, `3 hours`, `$4`, `12 inches/foot`."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.reason.numerals import narrowed
from tunesmith.reason.tokens import tokens_of

_UNIT = re.compile(
    r"[a-zA-Zµ°Ω%]{1,24}(?:(?:\^|\*\*)?[1-3²³])?(?: ?(?:/|per) ?[a-zA-Zµ°Ω]{1,24}(?:(?:\^|\*\*)?[1-3²³])?)?"
)


@cache
def registry() -> Any:
    """Pint's units.

    Raises:
        MissingLibrary: pint is not installed.
    """
    try:
        import pint
    except ModuleNotFoundError:
        message = "comparing units needs the library 'pint', which is not installed"
        raise MissingLibrary(Problem("needs-library", message, "pip install pint")) from None
    return pint.UnitRegistry()


@lru_cache(maxsize=4096)
def unit_of(words: str) -> Any | None:
    """The pint unit that a short phrase names (`km`, `feet per second`); None where it names none (`apples`)."""
    import pint

    phrase = words.strip().replace("²", "^2").replace("³", "^3")
    if not _UNIT.fullmatch(phrase):
        return None
    try:
        return registry().parse_units(phrase.replace(" per ", "/"))
    except (pint.PintError, AttributeError, ValueError, TypeError, KeyError, AssertionError):
        return None


def base_of(value: Fraction, unit: Any) -> tuple[Fraction, str]:
    """A quantity in base units, and the name of those."""
    one = registry().Quantity(1.0, unit).to_base_units()
    return value * Fraction(one.magnitude).limit_denominator(10**12), f"{one.units}"


def quantity(text: str) -> tuple[Fraction, str] | None:
    """The value in base units and their name; None where the text is not one number with a unit that pint knows."""
    plain = narrowed(text).strip()
    tokens = list(tokens_of(plain))
    if not tokens or tokens[0].kind not in {"number", "op"}:
        return None
    sign = -1 if tokens[0].text == "-" else 1
    rest = tokens[1:] if sign < 0 else tokens
    if not rest or rest[0].value is None:
        return None
    words = plain[rest[0].end :].strip()
    unit = unit_of(words) if words else None
    if words and unit is None:
        return None
    return (sign * rest[0].value, "") if unit is None else base_of(sign * rest[0].value, unit)
