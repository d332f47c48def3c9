"""A calculator while the model writes: what stands behind the sign of an equation in numbers is computed, not guessed.

Cobbe et al. (2021, "Training Verifiers to Solve Math Word Problems", section 4 and appendix C) let one compute the
results that their models write; here no annotation is needed, the left side is read as the check `arithmetic` reads it.
"""

from __future__ import annotations

from fractions import Fraction

from tunesmith.reason.expressions import expression_at_end
from tunesmith.reason.tokens import tokens_of

_REACH = 200
"""Characters before the sign that are read: longer expressions are the model's own."""

_MOST_PLACES = 6


def calculated(text: str) -> str | None:
    """What is to be written next in `text`, which ends with the sign of an equation; None where the model goes on.

    It goes on where the left side has no operator, can be read in several ways (`20 + 10%`), is not only numbers, or
    comes to more than 6 decimal places.

    Returns:
        The result in plain digits with the space before it that is missing.
    """
    written = text.rstrip(" ")
    if not written.endswith("="):
        return None
    left = written[written.rfind("\n") + 1 : -1]
    found = expression_at_end(tokens_of(left[-_REACH:]))
    if found is None or not found.operators or len(found.values) != 1 or (found.start == 0 and len(left) > _REACH):
        return None
    result = _plain(found.values[0])
    return result and (result if text.endswith(" ") else f" {result}")


def _plain(value: Fraction) -> str | None:
    """`12`, `-3.25`; None where the decimals do not end soon."""
    scaled = value * 10**_MOST_PLACES
    if scaled.denominator != 1:
        return None
    digits = f"{abs(int(scaled)):0{_MOST_PLACES + 1}d}"
    whole, places = digits[:-_MOST_PLACES], digits[-_MOST_PLACES:].rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if places else ''}{places}"
