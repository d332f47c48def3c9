"""Intervals and tests: hand-worked figures, agreement with libraries, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluate.statistics import (
    Floats,
    Sampling,
    bootstrap_interval,
    bootstrap_p,
    cluster_codes,
    effective_rows,
    mcnemar_p,
    newcombe_interval,
    share_interval,
    sign_flip_p,
    wilson,
)


def mean(values: Floats) -> object:
    return lambda weights: weights @ values / weights.sum(axis=1)


def ones(right: int, total: int) -> Floats:
    return np.array([1.0] * right + [0.0] * (total - right))


def names(number: int) -> list[str]:
    return [str(n) for n in range(number)]


def test_wilson_by_hand() -> None:
    """54 of 60, z = 1.96: centre (0.9 + 3.8415/120) / (1 + 3.8415/60) = 0.8759, half width 0.0771."""
    assert wilson(0.9, 60, level=0.95) == pytest.approx((0.7985, 0.9534), abs=2e-4)


@pytest.mark.parametrize(("right", "total"), [(0, 10), (3, 10), (10, 10), (470, 600)])
def test_wilson_and_mcnemar_equal_statsmodels(right: int, total: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.proportion import proportion_confint

    wanted = proportion_confint(right, total, method="wilson")
    assert wilson(right / total, total, level=0.95) == pytest.approx(wanted, abs=1e-12)
    first, second = ones(right, total), ones(total // 2, total)[::-1]
    table = [[((first == a) & (second == b)).sum() for b in (1, 0)] for a in (1, 0)]
    assert mcnemar_p(first, second) == pytest.approx(min(1.0, mcnemar(table, exact=True).pvalue))


def test_mcnemar_by_hand() -> None:
    """Six pairs differ, all for the expert: two-sided p = 2 / 2**6 = 0.03125. None differs: 1."""
    assert mcnemar_p(ones(10, 10), ones(4, 10)) == pytest.approx(0.03125)
    assert mcnemar_p(ones(4, 10), ones(4, 10)) == 1.0


def test_newcombe_by_hand() -> None:
    """Newcombe (1998), table III, case of 36 pairs + 12 + 2 + 0: difference 0.2, interval 0.0569 to 0.3404.

    50 pairs: both right 36, only the first 12, only the second 2, none 0.
    """
    first = np.array([1.0] * 36 + [1.0] * 12 + [0.0] * 2)
    second = np.array([1.0] * 36 + [0.0] * 12 + [1.0] * 2)
    found = newcombe_interval(first, second, names(50), level=0.95)
    assert found.low == pytest.approx(0.0569, abs=2e-4)
    assert found.high == pytest.approx(0.3404, abs=2e-4)


def test_newcombe_has_a_width_where_every_pair_differs() -> None:
    found = newcombe_interval(ones(30, 30), ones(0, 30), names(30), level=0.95)
    assert found.low is not None and found.low < 0.9
    assert found.high == pytest.approx(1.0)


def test_effective_rows_of_clusters_that_agree() -> None:
    """Five clusters of four equal rows: the design effect is 4 * 5/4 = 5 (with G/(G-1)), so 20 rows are worth 4.

    Shares 1, 1, 0, 0, 1 of the clusters: p = 0.6, sums 4 (1 - p) = 1.6 or -2.4; squares 3 * 2.56 + 2 * 5.76 = 19.2;
    variance 5/4 * 19.2 / 400 = 0.06; binomial 0.24 / 20 = 0.012; design effect 5.
    """
    values = np.repeat([1.0, 1.0, 0.0, 0.0, 1.0], 4)
    assert effective_rows(values, cluster_codes(names(5) * 1).repeat(4)) == pytest.approx(4.0)


def test_a_share_of_one_is_as_sure_as_its_clusters_are_many() -> None:
    alone = share_interval(ones(20, 20), names(20), level=0.95)
    grouped = share_interval(ones(20, 20), ["a"] * 10 + ["b"] * 10, level=0.95)
    assert alone.low == pytest.approx(wilson(1.0, 20, level=0.95)[0])
    assert grouped.low == pytest.approx(wilson(1.0, 2, level=0.95)[0])


def test_the_bootstrap_agrees_with_scipy() -> None:
    """BCa on the mean of 80 skewed values; both are random, so they agree to a few parts of the standard error."""
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).exponential(size=80)
    wanted = bootstrap((values,), np.mean, n_resamples=9999, rng=np.random.default_rng(1)).confidence_interval
    found = bootstrap_interval(mean(values), names(80), Sampling(resamples=9999))  # type: ignore[arg-type]
    error = values.std() / 80**0.5
    assert found.method.startswith("BCa")
    assert found.low == pytest.approx(wanted.low, abs=0.12 * error)
    assert found.high == pytest.approx(wanted.high, abs=0.12 * error)


def test_no_interval_where_nothing_varies() -> None:
    assert bootstrap_interval(mean(np.ones(9)), names(9), Sampling(resamples=100)).low is None  # type: ignore[arg-type]
    assert bootstrap_interval(mean(ones(1, 3)), ["g"] * 3, Sampling(resamples=100)).low is None  # type: ignore[arg-type]


def test_the_sign_flip_test_of_single_rows_is_mcnemar() -> None:
    """All 2**8 flips of eight differences, seven up and one down: P(|sum| >= 6) = 2 (1 + 8) / 256 = 0.0703."""
    differences = np.array([1.0] * 7 + [-1.0] + [0.0] * 5)
    first, second = ones(7, 13), np.array([0.0] * 7 + [1.0] + [0.0] * 5)
    assert sign_flip_p(differences, names(13)) == pytest.approx(18 / 256)
    assert mcnemar_p(first, second) == pytest.approx(18 / 256)


def test_rows_of_one_cluster_flip_together() -> None:
    """Seven rows better in one single cluster tell nothing; in seven clusters p = 2 / 2**7."""
    assert sign_flip_p(np.ones(7), ["g"] * 7) == 1.0
    assert sign_flip_p(np.ones(7), names(7)) == pytest.approx(2 / 128)


def test_bootstrap_p_by_hand() -> None:
    """Of 99 differences 4 are not above zero: 2 * (1 + 4) / 100 = 0.1. None: 2 / 100, never 0."""
    assert bootstrap_p(np.array([-1.0] * 4 + [1.0] * 95)) == pytest.approx(0.1)
    assert bootstrap_p(np.ones(99)) == pytest.approx(0.02)


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_of_shares_cover(grouped: bool) -> None:
    """400 draws of 60 clusters of 1 or 5 rows, truth 0.8: the 95 % interval holds it in at least 92 % of the draws.

    Five rows of a cluster agree entirely; an interval that ignored it would hold the truth in about 63 %.
    """
    random = np.random.default_rng(11)
    size = 5 if grouped else 1
    clusters = [str(n // size) for n in range(60 * size)]
    held = 0
    for _ in range(400):
        found = share_interval((random.random(60) < 0.8).astype(float).repeat(size), clusters, level=0.95)
        held += (found.low or 0.0) <= 0.8 <= (found.high or 1.0)
    assert held / 400 >= 0.92


def test_false_alarms_of_the_paired_tests_are_rare() -> None:
    """Two models that are equally good: over 100 draws the tests say "different" at 5 % in at most 11 %."""
    random = np.random.default_rng(5)
    alarms = {"mcnemar": 0, "flips": 0}
    clusters = [str(n // 4) for n in range(80)]
    for _ in range(100):
        first, second = ((random.random(80) < 0.7).astype(float) for _ in range(2))
        alarms["mcnemar"] += mcnemar_p(first, second) < 0.05
        shared = (random.random(20) < 0.5).repeat(4)
        alarms["flips"] += sign_flip_p(np.where(shared, first - second, second - first), clusters) < 0.05
    assert max(alarms.values()) / 100 <= 0.11
