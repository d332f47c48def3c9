"""Scorer: is the number of the answer the number of the reference, within a tolerance."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable

_NUMBER = re.compile(r"[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:[eE][-+]?\d+)?\s?[%\u2030万亿]?")
_FACTORS = {"%": 0.01, "\u2030": 0.001, "万": 1e4, "亿": 1e8}


@dataclass(frozen=True)
class Numeric:
    """1 where the answer's last number is the reference's, within the tolerance, else 0.

    Read are `-3`, `1,250.5`, `2e-3`, `12.5 %` (0.125), `3万` (30000); of several numbers the last counts, as chains of
    thought end with their result. An answer without a number is wrong; a reference without one leaves the row unscored.

    Args:
        relative: allowed difference as a share of the reference.
        absolute: allowed difference in the number's own unit; the larger of the two counts.
        percent: read `12.5 %` as 0.125; off: as 12.5.
    """

    relative: Annotated[float, Field(ge=0, lt=1)] = 0.0
    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-9
    percent: bool = True

    def score(self, example: Example, answer: Answer) -> Score:
        """1 or 0; unscored where the answerer failed, or the reference has no number."""
        if (no := incomparable(example, answer)) is not None:
            return no
        wanted = last_number(example.reference, percent=self.percent)
        if wanted is None:
            return Score(value=None, unscored="no-number-in-reference")
        found = last_number(answer.text, percent=self.percent)
        near = found is not None and math.isclose(found, wanted, rel_tol=0, abs_tol=self._allowed(wanted))
        return Score(value=float(near))

    def _allowed(self, wanted: float) -> float:
        return max(self.relative * abs(wanted), self.absolute)


def last_number(text: str, *, percent: bool = True) -> float | None:
    """The last number that stands in `text`; None where there is none, or it is too large to be one."""
    found = [match for match in _NUMBER.findall(unicodedata.normalize("NFKC", text)) if any(c.isdigit() for c in match)]
    if not found:
        return None
    written = found[-1].replace(",", "").replace("\u2212", "-").strip()
    factor = _FACTORS.get(written[-1], 1.0)
    value = float(written.rstrip("%\u2030万亿 ")) * (1.0 if factor < 1 and not percent else factor)
    return value if math.isfinite(value) else None
