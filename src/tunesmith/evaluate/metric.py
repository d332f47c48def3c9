"""What all metrics share: a measure is a function of row weights, and the rest follows.

A component of the shelf `metrics` only says how weighted rows become a number. Point value (all weights one),
interval (resampled weights), slices (fewer rows) and paired difference (the same weights on both sides) follow here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunesmith.core.types import Measure, Score
from tunesmith.evaluate.rows import Row, paired
from tunesmith.evaluate.statistics import (
    Floats,
    Interval,
    Kernel,
    Sampling,
    bootstrap_interval,
    bootstrap_p,
    bootstrap_values,
    cluster_codes,
    mcnemar_p,
    newcombe_interval,
    share_interval,
    sign_flip_p,
)


@dataclass(frozen=True)
class Share:
    """The 0/1 values that a measure is a share of, for an interval that also holds near 0 and 1.

    Args:
        values_M: one value per row of the denominator.
        clusters: the cluster of each of them.
        link: a rising function from the share to the measure (F1 is 2J / (1 + J) of the Jaccard share J).
    """

    values_M: Floats
    clusters: Sequence[str]
    link: Callable[[float], float] = float


@dataclass(frozen=True)
class Statistic:
    """A measure over given rows.

    Args:
        rows: the N rows that could be scored.
        unscored: reason -> number of rows that could not.
        kernel: weights_RN -> values_R.
        per_row_N: set where the measure is the weighted mean of these values.
        share: set where the measure is, or follows from, a share of rows.
    """

    rows: tuple[Row, ...]
    unscored: Mapping[str, int]
    kernel: Kernel
    per_row_N: Floats | None = None
    share: Share | None = None

    @property
    def clusters(self) -> list[str]:
        """The cluster of each scored row."""
        return [row.cluster for row in self.rows]

    @property
    def value(self) -> float | None:
        """The point value; None for no rows."""
        if not self.rows:
            return None
        value = float(self.kernel(np.ones((1, len(self.rows))))[0])
        return None if np.isnan(value) else value

    @property
    def binary(self) -> bool:
        """Whether the measure is a plain share of its rows."""
        return self.per_row_N is not None and bool(np.isin(self.per_row_N, (0.0, 1.0)).all())

    @property
    def n(self) -> int:
        """Rows that the value rests on: the denominator of a share, else all scored rows."""
        return len(self.rows) if self.share is None else len(self.share.values_M)


class RowMetric(ABC):
    """Base of the components: subclasses set `name` and `unit` and say `statistic`.

    `scorer` names the scorer whose words the measure rests on, which then runs without being asked for; empty: none.
    """

    name: ClassVar[str]
    unit: ClassVar[str] = "share"
    scorer: ClassVar[str] = ""

    @abstractmethod
    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The measure as a function of row weights."""

    def measure(
        self, rows: Sequence[Row], *, model: str = "expert", slice: str = "all", sampling: Sampling | None = None
    ) -> Measure:
        """The value over `rows` with its interval; value None (unscored, not 0) where no row could be scored."""
        how = sampling or Sampling()
        statistic = self.statistic(rows)
        value = statistic.value
        interval = Interval(None, None, "none: no scored rows") if value is None else _interval(statistic, how)
        return Measure(
            name=self.name,
            model=model,
            value=value,
            low=interval.low,
            high=interval.high,
            level=how.level,
            n=statistic.n,
            unscored=sum(statistic.unscored.values()),
            slice=slice,
            method=interval.method,
            unit=self.unit,
        )

    def difference(
        self,
        expert: Sequence[Row],
        base: Sequence[Row],
        *,
        model: str = "difference",
        slice: str = "all",
        sampling: Sampling | None = None,
    ) -> Measure:
        """Expert minus base on the rows that are scored for both, with interval and p-value of a paired test."""
        how = sampling or Sampling()
        ours, theirs, lost = self._both_scored(expert, base)
        if not ours.rows or ours.value is None or theirs.value is None:
            return Measure(
                name=self.name, model=model, value=None, n=0, unscored=lost, slice=slice, level=how.level,
                method="none: no row is scored for both", unit=self.unit,
            )  # fmt: skip
        interval, p = _compare(ours, theirs, how)
        return Measure(
            name=self.name,
            model=model,
            value=ours.value - theirs.value,
            low=interval.low,
            high=interval.high,
            level=how.level,
            n=len(ours.rows),
            unscored=lost,
            slice=slice,
            p=p,
            method=interval.method,
            unit=self.unit,
        )

    def _both_scored(self, expert: Sequence[Row], base: Sequence[Row]) -> tuple[Statistic, Statistic, int]:
        first, second = paired(expert, base)
        total = len(first)
        first, second = paired(self.statistic(first).rows, self.statistic(second).rows)
        return self.statistic(first), self.statistic(second), total - len(first)


class MeanMetric(RowMetric):
    """The mean of what one scorer says; subclasses set `name` and `scorer`."""

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """The mean; rows that the scorer left unscored are counted by reason."""
        return mean_of(rows, score_called(self.scorer))


def _interval(statistic: Statistic, sampling: Sampling) -> Interval:
    share = statistic.share
    if statistic.binary and statistic.per_row_N is not None:
        share = Share(statistic.per_row_N, statistic.clusters)
    if share is not None and len(share.values_M):
        found = share_interval(share.values_M, share.clusters, level=sampling.level)
        return Interval(share.link(found.low or 0.0), share.link(found.high or 0.0), found.method)
    return bootstrap_interval(statistic.kernel, statistic.clusters, sampling)


def _compare(ours: Statistic, theirs: Statistic, sampling: Sampling) -> tuple[Interval, float]:
    """Interval of ours minus theirs, and the p-value of the strictest paired test that fits the measure."""
    clusters = ours.clusters
    codes = cluster_codes(clusters)
    grouped = int(codes.max()) + 1 < len(codes)

    def apart(weights_RN: Floats) -> Floats:
        return ours.kernel(weights_RN) - theirs.kernel(weights_RN)

    a, b = ours.per_row_N, theirs.per_row_N
    if a is None or b is None:
        interval = bootstrap_interval(apart, clusters, sampling)
        p = bootstrap_p(bootstrap_values(apart, codes, sampling))
        return Interval(interval.low, interval.high, f"{interval.method}; bootstrap test"), p
    binary = ours.binary and theirs.binary
    interval = bootstrap_interval(apart, clusters, sampling) if grouped or not binary else Interval(None, None, "")
    if interval.low is None and binary:
        interval = newcombe_interval(a, b, clusters, level=sampling.level)
    if binary and not grouped:
        return Interval(interval.low, interval.high, f"{interval.method}; exact McNemar test"), mcnemar_p(a, b)
    p = sign_flip_p(a - b, clusters, seed=sampling.seed)
    return Interval(interval.low, interval.high, f"{interval.method}; sign-flip test over clusters"), p


def mean_kernel(values_N: Floats) -> Kernel:
    """The weighted mean of fixed row values."""

    def kernel(weights_RN: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(weights_RN @ values_N / weights_RN.sum(axis=1), dtype=np.float64)

    return kernel


def mean_of(rows: Sequence[Row], score: Callable[[Row], Score]) -> Statistic:
    """The mean of `score` over the rows that have a value; the others are counted by reason."""
    scores = [score(row) for row in rows]
    kept = [row for row, s in zip(rows, scores, strict=True) if s.value is not None]
    values = np.array([s.value for s in scores if s.value is not None], dtype=np.float64)
    unscored = Counter(s.unscored or "unscored" for s in scores if s.value is None)
    return Statistic(tuple(kept), unscored, mean_kernel(values), values)


def score_called(name: str) -> Callable[[Row], Score]:
    """Reads the word of the scorer `name`; a row that it never saw is unscored."""
    return lambda row: row.scores.get(name, Score(value=None, unscored=f"no-{name.replace('_', '-')}-score"))
