"""Rows with personal data, dropped or set aside: where masking is not enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import said
from tunesmith.data.personal.findings import KINDS, Kind, find


@dataclass(frozen=True)
class PersonalData:
    """Refuses rows in which personal data stands; the cleaner of the same name masks it instead.

    What is found, and what cannot be, stands at `tunesmith.data.personal.findings.find`. The drop says how many pieces
    of which class, never the data.

    Args:
        kinds: classes that refuse a row.
        fate: `dropped`, or `aside` for a person to look at.
    """

    kinds: tuple[Kind, ...] = KINDS
    fate: Literal["dropped", "aside"] = "dropped"

    def judge(self, example: Example) -> Refusal | None:
        """`personal-data`, with the number of pieces by class."""
        found = Counter(finding.kind for text in said(example) for finding in find(text, self.kinds))
        if not found:
            return None
        detail = ", ".join(f"{kind} {found[kind]}" for kind in KINDS if found[kind])
        return Refusal(reason="personal-data", detail=detail, fate=self.fate)
