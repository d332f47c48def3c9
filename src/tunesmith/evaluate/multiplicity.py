"""Many tests at once: p-values that stay honest when one looks at all of them.

Two families are told apart. Differences over all rows are *claims*: Holm's method keeps the chance of even one false
claim at the level. Slices are *leads*: Benjamini and Hochberg's keeps the expected share of false ones among those
named at the level, and is also a test at that level of "there is none".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tunesmith.core.types import Measure


def adjusted(p_values: Sequence[float], method: Literal["holm", "fdr_bh"] = "holm") -> list[float]:
    """p-values adjusted for their number, in order: those of statsmodels' `multipletests`.

    Args:
        p_values: of one family.
        method: `holm` (Holm 1979) or `fdr_bh` (Benjamini and Hochberg 1995).
    """
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    return [float(p) for p in multipletests(list(p_values), method=method)[1]]


def with_adjusted(measures: Sequence[Measure]) -> list[Measure]:
    """The measures, those of a difference over all rows with `p_adjusted` by Holm's method; order kept.

    The family is every difference with a p-value over all rows, against the base's own words or by likelihood.
    """
    family = [place for place, m in enumerate(measures) if m.p is not None and m.slice == "all"]
    found = adjusted([measures[place].p or 0.0 for place in family])
    told = dict(zip(family, found, strict=True))
    return [
        m.model_copy(update={"p_adjusted": told[place]}) if place in told else m for place, m in enumerate(measures)
    ]
