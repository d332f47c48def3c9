"""From which score on a question is alarmed: a threshold that keeps a rate of false alarms on questions of the domain.

Nothing is taken for granted but that calibration and new questions are drawn alike. A conformal threshold (Vovk et al.
2005) would keep the rate on average over calibrations, and pass it in about half of them; who calibrates once needs
to know that this one time it is kept.
"""

from __future__ import annotations

import math

import numpy as np

from tunesmith.evaluate.abstention import upper_bound
from tunesmith.models.features import Floats


def sure_threshold(scores_N: Floats, rate: float, delta: float) -> float:
    """The smallest threshold above which, in at least 1 - `delta` of calibrations, at most `rate` of new scores fall.

    With k calibration scores above it, the share of new ones above it is at most a Beta(k + 1, N - k) variable (Vovk
    2012, "Conditional validity of inductive conformal predictors", proposition 2a); k is the largest number whose
    quantile is within the rate. Infinite where N is too small: 59 scores are the fewest for 5 % and 5 %.
    """
    number = len(scores_N)
    if not number or upper_bound(0, number, delta) > rate:
        return math.inf
    allowed, too_many = 0, number
    while too_many - allowed > 1:
        middle = (allowed + too_many) // 2
        allowed, too_many = (middle, too_many) if upper_bound(middle, number, delta) <= rate else (allowed, middle)
    return float(np.sort(scores_N)[number - 1 - allowed])
