"""How many rows it takes to see a difference, told before the rows are asked and again afterwards.

Before: the exact McNemar test on two paired shares, for a difference and a share of rows on which the models disagree.
After: the width of the interval that was measured tells the smallest difference that could have been seen; groups,
spread of the scores and the measure itself are all in it.
"""

from __future__ import annotations

import math
from functools import cache

from tunesmith.core.types import Measure

_MOST_ROWS = 10_000_000


def mcnemar_power(rows: int, difference: float, *, disagreement: float, alpha: float) -> float:
    """Chance that the exact two-sided McNemar test calls the better of two models better.

    Summed over the number of rows on which just one of them is right, which is binomial (Duffy 1984).

    Args:
        rows: independent rows that both answer.
        difference: true difference of their shares, above 0.
        disagreement: share of rows on which just one of them is right, from `difference` to 1.
        alpha: level of the test.

    Raises:
        ValueError: the models cannot differ by more than the share on which they disagree.
    """
    import numpy as np
    from scipy.stats import binom

    if not 0 < difference <= disagreement <= 1:
        raise ValueError(f"a difference of {difference:g} needs a disagreement from {difference:g} to 1")
    wide = 8 * math.sqrt(rows * disagreement * (1 - disagreement)) + 1
    least, most = max(1, math.floor(rows * disagreement - wide)), min(rows, math.ceil(rows * disagreement + wide))
    unlike_M = np.arange(least, most + 1)
    needed_M = binom.isf(alpha / 2, unlike_M, 0.5)  # the test says yes above this many wins
    won_M = binom.sf(needed_M, unlike_M, (disagreement + difference) / (2 * disagreement))
    return float((binom.pmf(unlike_M, rows, disagreement) * won_M).sum())


@cache
def rows_needed(difference: float, *, disagreement: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Independent rows from which on the exact McNemar test finds `difference` with this power.

    Raises:
        ValueError: see `mcnemar_power`.
    """
    low, high = 1, 16
    while mcnemar_power(high, difference, disagreement=disagreement, alpha=alpha) < power:
        low, high = high, 2 * high
        if high > _MOST_ROWS:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        if mcnemar_power(middle, difference, disagreement=disagreement, alpha=alpha) < power:
            low = middle
        else:
            high = middle
    return high


def standard_error(measure: Measure) -> float | None:
    """What the interval says of the spread: its width over twice the normal quantile; None without an interval."""
    from scipy.special import ndtri

    if measure.low is None or measure.high is None:
        return None
    return (measure.high - measure.low) / (2 * float(ndtri((1 + measure.level) / 2)))


def smallest_seen(difference: Measure, *, power: float = 0.8) -> float | None:
    """The smallest true difference that rows like these show with this power; None where nothing can be said.

    `(z_level + z_power) * standard error`, the normal approximation (Cohen 1988, ch. 6; Bloom 1995).

    Args:
        difference: a measured difference with its interval.
        power: chance of being seen, in (0, 1).
    """
    from scipy.special import ndtri

    error = standard_error(difference)
    if error is None:
        return None
    return float(ndtri((1 + difference.level) / 2) + ndtri(power)) * error


def rows_for(difference: Measure, wanted: float, *, power: float = 0.8) -> int | None:
    """Rows like these that it takes to see a true difference of `wanted`; None where nothing can be said."""
    seen = smallest_seen(difference, power=power)
    return None if seen is None else math.ceil(difference.n * (seen / wanted) ** 2)
