"""Generated questions of several steps whose chains and answers can be checked, from a fixed seed.

Four families (`dosage`, `credit`, `maintenance`, `stock`) with three plans each and five wordings a plan. Three
wordings are for training, beside stories composed of phrases, one for validation, one for the test, so a test question
is told in words that no training question has, about steps that training questions have too.
"""

from __future__ import annotations

import itertools

from tunesmith.reason.suites import credit, dosage, maintenance, stock
from tunesmith.reason.suites._plan import Exercise, Part, Plan, exercises

FAMILIES: dict[str, tuple[Plan, ...]] = {
    "dosage": dosage.PLANS,
    "credit": credit.PLANS,
    "maintenance": maintenance.PLANS,
    "stock": stock.PLANS,
}


def suite(part: Part, rows: int, *, seed: int = 0) -> list[Exercise]:
    """So many exercises, families and plans by turns; the same seed gives the same ones, a shorter list is a beginning.

    Args:
        part: `train`, `valid` or `test`: no wording is in two of them.
        rows: how many.
        seed: of numbers, words and wordings.

    Raises:
        ValueError: the plans do not give so many different ones.
    """
    streams = [exercises(family, plans, part=part, seed=seed) for family, plans in FAMILIES.items()]
    made = list(itertools.islice((one for some in zip(*streams, strict=False) for one in some), rows))
    if len(made) < rows:
        raise ValueError(f"the plans give {len(made)} different exercises for '{part}', not {rows}")
    return made


__all__ = ["FAMILIES", "Exercise", "Part", "Plan", "suite"]
