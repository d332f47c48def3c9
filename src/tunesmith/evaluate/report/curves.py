"""Curves over scored rows: how honest a confidence is, and what abstaining would buy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.evaluate.rows import Row

BINS = 10
_MOST_POINTS = 120

Stated = tuple[float, float]
"""A stated probability, and what came of it: 1 right, 0 wrong."""


def by_label(rows: Sequence[Row]) -> list[Stated]:
    """The confidence of each row that has one, and whether its label is right."""
    return [
        (row.answer.confidence, value)
        for row in rows
        if "label" in row.scores and (value := row.scores["label"].value) is not None
        if row.answer.confidence is not None
    ]


def reliability(stated: Sequence[Stated]) -> list[dict[str, float]]:
    """Per bin of confidence that holds a row: mean confidence, share right, number of rows."""
    bins: dict[int, list[Stated]] = {}
    for confidence, right in stated:
        bins.setdefault(min(int(confidence * BINS), BINS - 1), []).append((confidence, right))
    return [
        {
            "confidence": sum(c for c, _ in found) / len(found),
            "right": sum(r for _, r in found) / len(found),
            "n": len(found),
        }
        for _, found in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Expected calibration error: mean distance of confidence and share right over bins, by rows (Guo et al. 2017)."""
    return sum(b["n"] * abs(b["confidence"] - b["right"]) for b in bins) / sum(b["n"] for b in bins)


def error_by_chance(confidences: Sequence[float], *, draws: int = 200) -> float:
    """The mean calibration error of outcomes drawn from the stated probabilities themselves (Broecker and Smith 2007).

    What perfect probabilities would show in so few rows: an error of this size is no evidence against them.
    """
    confidence_N, chance = np.array(confidences), np.random.default_rng(0)
    bin_N = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    errors = [
        np.abs(np.bincount(bin_N, weights=confidence_N - (chance.random(len(bin_N)) < confidence_N))).sum()
        for _ in range(draws)
    ]
    return float(np.mean(errors) / len(confidence_N))


def risk_coverage(rows: Sequence[Row]) -> dict[str, object]:
    """Share of wrong answers among the surest, for every share of rows that is answered (El-Yaniv and Wiener 2010).

    Rows of equal confidence are answered together.

    Returns:
        `coverage` and `risk`, at most 120 points; `area`, the mean risk over all coverages (AURC: 0 is perfect); empty
        where no row has a confidence.
    """
    known = [(confidence, 1 - right) for confidence, right in by_label(rows)]
    if not known:
        return {}
    known.sort(key=lambda pair: -pair[0])
    points: list[tuple[float, float]] = []
    wrong = area = before = 0.0
    for place, (confidence, error) in enumerate(known, start=1):
        wrong += error
        if place == len(known) or known[place][0] != confidence:
            coverage, risk = place / len(known), wrong / place
            area += (coverage - before) * risk
            before = coverage
            points.append((coverage, risk))
    step = max(1, len(points) // _MOST_POINTS + 1)
    kept = points[:-1:step] + points[-1:]
    return {"coverage": [c for c, _ in kept], "risk": [r for _, r in kept], "area": area}
