"""Intervals and paired tests for measures over held-out rows.

Rows that share a group (a patient, a category) are not independent, so every method here takes the cluster of each
row: whole clusters are resampled or flipped, and intervals of shares are widened by the design effect. Axes: N row,
R resample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kernel = Callable[[Floats], Floats]
"""weights_RN -> values_R: a measure as a function of how often each row counts."""

_CELLS_AT_ONCE = 4_000_000
_MOST_CLUSTERS_FOR_BCA = 3_000


@dataclass(frozen=True)
class Sampling:
    """How intervals are made.

    Args:
        level: coverage of the intervals, in (0, 1).
        resamples: bootstrap resamples.
        seed: of the random generator; the same seed gives the same interval.
    """

    level: float = 0.95
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made; both ends are None where none can be given."""

    low: float | None
    high: float | None
    method: str


def cluster_codes(clusters: Sequence[str]) -> NDArray[np.int64]:
    """Cluster names as integers 0 .. G-1, one per row."""
    return np.asarray(np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)[1], dtype=np.int64)


def effective_rows(successes_N: Floats, codes_N: NDArray[np.int64]) -> float:
    """How many independent rows the clustered 0/1 values are worth: N divided by the design effect, at most N.

    The design effect is the cluster-robust variance of the share over its binomial variance (Kish 1965). Where
    all rows agree it cannot be estimated and each cluster counts as one row, the cautious end.
    """
    n, share = len(successes_N), float(successes_N.mean())
    clusters = int(codes_N.max()) + 1
    if clusters == n:
        return float(n)
    if share in (0.0, 1.0) or clusters == 1:
        return float(clusters)
    sums = np.bincount(codes_N, weights=successes_N - share)
    variance = clusters / (clusters - 1) * float((sums**2).sum()) / n**2
    return n / max(variance / (share * (1 - share) / n), 1.0)


def wilson(share: float, rows: float, *, level: float) -> tuple[float, float]:
    """Wilson's score interval for a share of `rows` (Wilson 1927); `rows` > 0 may be fractional."""
    from scipy.special import ndtri

    z2 = float(ndtri((1 + level) / 2)) ** 2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = (z2 * (share * (1 - share) / rows + z2 / (4 * rows**2))) ** 0.5 / (1 + z2 / rows)
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def share_interval(successes_N: Floats, clusters: Sequence[str], *, level: float) -> Interval:
    """Wilson's interval with the effective number of rows (Franco et al. 2019); never of width zero."""
    grouped = len(set(clusters)) < len(clusters)
    rows = effective_rows(successes_N, cluster_codes(clusters)) if grouped else float(len(clusters))
    low, high = wilson(float(successes_N.mean()), rows, level=level)
    return Interval(low, high, f"Wilson, {rows:.0f} effective rows of {len(clusters)}" if grouped else "Wilson")


def resample_weights(codes_N: NDArray[np.int64], sampling: Sampling) -> Iterator[Floats]:
    """Chunks of weights_RN: how often each row is drawn when whole clusters are drawn with replacement."""
    if sampling.resamples * len(codes_N) <= _CELLS_AT_ONCE:
        yield _small_weights(codes_N.tobytes(), sampling)
    else:
        yield from _draw_weights(codes_N, sampling)


@lru_cache(maxsize=4)
def _small_weights(codes: bytes, sampling: Sampling) -> Floats:
    """Many measures are taken over the same rows: their resamples are drawn once."""
    return next(_draw_weights(np.frombuffer(codes, dtype=np.int64), sampling))


def _draw_weights(codes_N: NDArray[np.int64], sampling: Sampling) -> Iterator[Floats]:
    random = np.random.default_rng(sampling.seed)
    clusters = int(codes_N.max()) + 1
    chunk = max(1, min(sampling.resamples, _CELLS_AT_ONCE // len(codes_N)))
    for start in range(0, sampling.resamples, chunk):
        size = min(chunk, sampling.resamples - start)
        drawn = random.integers(0, clusters, size=(size, clusters)) + np.arange(size)[:, None] * clusters
        counts = np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters)
        yield counts[:, codes_N].astype(np.float64)


def bootstrap_values(kernel: Kernel, codes_N: NDArray[np.int64], sampling: Sampling) -> Floats:
    """The measure on every resample; resamples on which it is undefined (NaN) are left out."""
    values = np.concatenate([kernel(weights) for weights in resample_weights(codes_N, sampling)])
    return np.asarray(values[~np.isnan(values)], dtype=np.float64)


def _left_out_values(kernel: Kernel, codes_N: NDArray[np.int64]) -> Floats:
    """The measure with each cluster left out once (jackknife)."""
    clusters = int(codes_N.max()) + 1
    chunk = max(1, _CELLS_AT_ONCE // len(codes_N))
    parts = [
        kernel((np.arange(start, min(start + chunk, clusters))[:, None] != codes_N[None, :]).astype(np.float64))
        for start in range(0, clusters, chunk)
    ]
    return np.concatenate(parts)


def bootstrap_interval(kernel: Kernel, clusters: Sequence[str], sampling: Sampling) -> Interval:
    """Bias-corrected accelerated bootstrap over clusters (Efron 1987, eq. 6.5-6.6); percentile beyond 3,000 clusters.

    No interval is given for fewer than two clusters or where all resamples agree: a width of zero would claim
    a certainty that the rows do not give.
    """
    from scipy.stats import norm

    codes = cluster_codes(clusters)
    number = int(codes.max()) + 1
    if number < 2:
        return Interval(None, None, "none: fewer than two independent rows")
    values = bootstrap_values(kernel, codes, sampling)
    if len(values) < 2 or np.ptp(values) == 0.0:
        return Interval(None, None, "none: all resamples agree")
    tails = np.array([(1 - sampling.level) / 2, (1 + sampling.level) / 2])
    method = f"percentile bootstrap, {sampling.resamples} resamples of {number} clusters"
    if number <= _MOST_CLUSTERS_FOR_BCA:
        point = float(kernel(np.ones((1, len(codes))))[0])
        ties = np.isclose(values, point, rtol=1e-9, atol=1e-12)  # sums in another order differ in the last digit
        below = (np.sum((values < point) & ~ties) + 0.5 * ties.sum()) / len(values)
        left_out = _left_out_values(kernel, codes)
        apart = np.nanmean(left_out) - left_out[~np.isnan(left_out)]
        spread = float((apart**2).sum())
        if 0.0 < below < 1.0 and spread > 0.0:
            bias = norm.ppf(below)
            shift = bias + norm.ppf(tails)
            tails = norm.cdf(bias + shift / (1 - float((apart**3).sum()) / (6 * spread**1.5) * shift))
            method = "BCa" + method.removeprefix("percentile")
    low, high = np.quantile(values, tails)
    return Interval(float(low), float(high), method)


def newcombe_interval(first_N: Floats, second_N: Floats, clusters: Sequence[str], *, level: float) -> Interval:
    """Interval of the difference of two paired shares, first minus second (Newcombe 1998, method 10).

    Built on the Wilson limits of either share: it stays inside [-1, 1] and has a width also where every pair differs.
    """
    one, two = float(first_N.mean()), float(second_N.mean())
    limits = [share_interval(side, clusters, level=level) for side in (first_N, second_N)]
    (low_1, high_1), (low_2, high_2) = ((float(i.low or 0.0), float(i.high or 0.0)) for i in limits)
    correlation = _phi(first_N, second_N)
    under = _root((one - low_1), (high_2 - two), correlation)
    over = _root((high_1 - one), (two - low_2), correlation)
    return Interval(one - two - under, one - two + over, "Newcombe's paired interval" + limits[0].method[6:])


def _root(first: float, second: float, correlation: float) -> float:
    return float(np.sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0.0)))


def _phi(first_N: Floats, second_N: Floats) -> float:
    """Newcombe's correlation of two 0/1 columns, with his continuity correction; 0 where it is undefined."""
    n = len(first_N)
    both = float((first_N * second_N).sum())
    only_first, only_second = float(first_N.sum()) - both, float(second_N.sum()) - both
    neither = n - both - only_first - only_second
    product = first_N.mean() * (1 - first_N.mean()) * second_N.mean() * (1 - second_N.mean()) * n**4
    if product <= 0:
        return 0.0
    cross = both * neither - only_first * only_second
    corrected = max(cross - n / 2, 0.0) if cross > 0 else cross
    return corrected / float(np.sqrt(product))


def mcnemar_p(first_N: Floats, second_N: Floats) -> float:
    """Exact two-sided McNemar test on paired 0/1 values: binomial on the pairs that differ; 1 if none does."""
    from scipy.stats import binomtest

    gained, lost = int(((first_N == 1) & (second_N == 0)).sum()), int(((first_N == 0) & (second_N == 1)).sum())
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def sign_flip_p(differences_N: Floats, clusters: Sequence[str], *, seed: int = 0) -> float:
    """Two-sided paired randomisation test of a mean difference, flipping the sign of whole clusters.

    Exact for up to 13 clusters that differ (all flips are tried), else 9,999 random flips (Fisher 1935).
    """
    from scipy.stats import permutation_test

    sums = np.bincount(cluster_codes(clusters), weights=differences_N)
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) == 0:
        return 1.0
    if len(sums) == 1:
        return 1.0  # one cluster and its mirror image: nothing can be told
    result: Any = permutation_test(
        (sums,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=max(1, _CELLS_AT_ONCE // len(sums)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def bootstrap_p(values_R: Floats) -> float:
    """Two-sided p-value of "no difference": twice the smaller tail of bootstrapped differences beyond zero, never 0."""
    if len(values_R) == 0:
        return 1.0
    tails = [(1 + int((values_R <= 0).sum())), (1 + int((values_R >= 0).sum()))]
    return min(1.0, 2 * min(tails) / (len(values_R) + 1))
