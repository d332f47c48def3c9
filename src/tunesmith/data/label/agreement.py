"""How far annotators agree beyond chance: Krippendorff's alpha, Cohen's kappa per pair, with bootstrap intervals.

Axes: N row, K label, R resample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Reason

Scale = Literal["nominal", "ordinal", "interval"]
Votes = Mapping[str, Mapping[str, str]]
"""Row -> person -> label; who did not label a row is not in its mapping."""

TENTATIVE = 0.667
"""The least alpha from which tentative conclusions may be drawn (Krippendorff 2004, Content Analysis, p. 241)."""
RELIABLE = 0.8
"""The least alpha of labels to rely on (the same page)."""

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A coefficient with its 95 % interval; None where it is undefined. `rows`: rows that it rests on."""

    value: float | None
    low: float | None
    high: float | None
    rows: int


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two people on the rows that both labelled."""

    first: str
    second: str
    estimate: Estimate


@dataclass(frozen=True)
class Agreement:
    """What annotators agree on.

    Fields:
        scale: how labels differ: alike or not; by rank in the order of the labels; by the numbers that they are.
        alpha: Krippendorff's alpha over rows with two labels or more.
        kappas: per pair of people: unweighted for nominal labels, else with quadratic weights.
        rows: rows with any label.
        unanimous: rows with two labels or more, all of them alike.
    """

    scale: Scale
    alpha: Estimate
    kappas: tuple[Kappa, ...]
    rows: int
    unanimous: int


def agreement(
    votes: Votes, labels: Sequence[str], *, scale: Scale = "nominal", resamples: int = 1000, seed: int = 0
) -> Agreement:
    """Alpha over everyone and kappa for every pair; missing labels are allowed.

    Intervals are percentiles of a bootstrap over rows (Zapf et al. 2016, doi:10.1186/s12874-016-0200-9), not over
    single labels: labels of one row belong together.

    Args:
        votes: labels by row and person; each one of `labels`.
        labels: all labels, in their order.
        scale: see `Agreement`.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Raises:
        UserError: `scale` is interval and a label is not a number.
    """
    values_K = _values(labels, scale)
    place = {label: k for k, label in enumerate(labels)}
    counts_NK = np.zeros((len(votes), len(labels)), dtype=np.int64)
    for n, row in enumerate(votes.values()):
        for label in row.values():
            counts_NK[n, place[label]] += 1
    random = np.random.default_rng(seed)
    people = sorted({person for row in votes.values() for person in row})
    kappas = []
    for first, second in combinations(people, 2):
        table_KK = np.zeros((len(labels), len(labels)), dtype=np.int64)
        for row in votes.values():
            if first in row and second in row:
                table_KK[place[row[first]], place[row[second]]] += 1
        kappas.append(Kappa(first, second, _kappa_estimate(table_KK, _weights(values_K, scale), resamples, random)))
    paired_NK = counts_NK[counts_NK.sum(axis=1) >= 2]
    unanimous = int((paired_NK.max(axis=1, initial=0) == paired_NK.sum(axis=1)).sum())
    alpha = _alpha_estimate(paired_NK, values_K, scale, resamples=resamples, random=random)
    return Agreement(scale, alpha, tuple(kappas), int((counts_NK.sum(axis=1) > 0).sum()), unanimous)


def alpha(counts_NK: NDArray[np.int64], values_K: NDArray[np.float64], scale: Scale) -> float | None:
    """Krippendorff's alpha of how often each row was given each label; None where all labels are alike.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", by the library `krippendorff`.
    """
    import krippendorff

    if (counts_NK[counts_NK.sum(axis=1) >= 2].sum(axis=0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=counts_NK, value_domain=values_K, level_of_measurement=scale))


def kappa(tables_RKK: NDArray[Any], weights_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen's weighted kappa of tables of counts, one value a table; NaN where chance alone explains everything.

    One minus observed over expected disagreement (Cohen 1968).
    """
    sums_R = tables_RKK.sum(axis=(1, 2))
    expected_RKK = tables_RKK.sum(axis=2)[:, :, None] * tables_RKK.sum(axis=1)[:, None, :]
    seen_R = (tables_RKK * weights_KK).sum(axis=(1, 2))
    chance_R = (expected_RKK * weights_KK).sum(axis=(1, 2)) / np.maximum(sums_R, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(chance_R > 0, 1 - seen_R / chance_R, np.nan), dtype=np.float64)


def agreement_reason(
    found: Estimate | None, *, least: float = TENTATIVE, where: str = "the labels", damage: str = ""
) -> Reason:
    """What gate G1 says of label agreement.

    Args:
        found: alpha as it was when the labels were exported; None: nobody knows it.
        least: the least alpha that is enough: 0.667 for tentative conclusions, 0.8 for labels to rely on.
        where: the file, for the message.
        damage: why what is written of it cannot be believed; empty: it can.

    Returns:
        passed at `least` or above, failed below, unknown where alpha is not known or not defined (fewer than two
        people, or one label for everything).
    """
    evidence = {"limit": least, "file": where}
    if damage or found is None or found.value is None:
        cause = damage or ("agreement was not measured" if found is None else "alpha is not defined for these labels")
        message = f"nobody knows how far annotators agree on {where}: {cause}"
        return Reason(code="label-agreement", message=message, verdict="unknown", evidence=evidence)
    interval = "" if found.low is None else f" (95 % interval {found.low:.3f} to {found.high:.3f})"
    word = "reliable" if found.value >= RELIABLE else "tentative" if found.value >= TENTATIVE else "unreliable"
    message = (
        f"Krippendorff's alpha of {where} is {found.value:.3f}{interval} over {found.rows:,} rows: {word}; "
        f"at least {least:g} is wanted"
    )
    evidence |= {"alpha": found.value, "low": found.low, "high": found.high, "rows": found.rows}
    verdict: Literal["passed", "failed"] = "passed" if found.value >= least else "failed"
    return Reason(code="label-agreement", message=message, verdict=verdict, evidence=evidence)


def _values(labels: Sequence[str], scale: Scale) -> NDArray[np.float64]:
    if scale != "interval":
        return np.arange(len(labels), dtype=np.float64)
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        hint = "use numbers as labels, or scale: ordinal or nominal"
        shown = shorten(", ".join(labels))
        raise UserError(Problem("not-numbers", "an interval scale needs labels that are numbers", hint, value=shown))
    return numbers


def _weights(values_K: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    apart_KK = values_K[:, None] - values_K[None, :]
    return (apart_KK != 0).astype(np.float64) if scale == "nominal" else apart_KK**2


def _kappa_estimate(
    table_KK: NDArray[np.int64], weights_KK: NDArray[np.float64], resamples: int, random: np.random.Generator
) -> Estimate:
    """Drawing rows with replacement is drawing the table's cells by their shares."""
    rows = int(table_KK.sum())
    if not rows:
        return Estimate(None, None, None, 0)
    drawn_RKK = random.multinomial(rows, table_KK.ravel() / rows, size=resamples).reshape(resamples, *table_KK.shape)
    value = float(kappa(table_KK[None], weights_KK)[0])
    return _estimate(None if np.isnan(value) else value, kappa(drawn_RKK, weights_KK), rows)


def _alpha_estimate(
    counts_NK: NDArray[np.int64],
    values_K: NDArray[np.float64],
    scale: Scale,
    *,
    resamples: int,
    random: np.random.Generator,
) -> Estimate:
    value = alpha(counts_NK, values_K, scale) if len(counts_NK) else None
    if value is None:
        return Estimate(None, None, None, len(counts_NK))
    drawn = (
        alpha(counts_NK[random.integers(0, len(counts_NK), len(counts_NK))], values_K, scale) for _ in range(resamples)
    )
    return _estimate(value, np.array([v for v in drawn if v is not None]), len(counts_NK))


def _estimate(value: float | None, values_R: NDArray[np.float64], rows: int) -> Estimate:
    """No interval where resamples agree: a width of zero would claim a certainty that the rows do not give."""
    values_R = values_R[~np.isnan(values_R)]
    if value is None or len(values_R) < 2 or np.ptp(values_R) == 0.0:
        return Estimate(value, None, None, rows)
    low, high = np.quantile(values_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(value, float(low), float(high), rows)
