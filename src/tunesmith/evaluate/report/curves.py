"""Curves over scored rows: how honest a confidence is, and what abstaining would buy."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.evaluate.rows import Row

BINS = 10
_MOST_POINTS = 120


def reliability(rows: Sequence[Row]) -> list[dict[str, float]]:
    """Per bin of confidence that holds a row: mean confidence, share right, number of rows."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        right = row.scores["label"].value if "label" in row.scores else None
        if row.answer.confidence is not None and right is not None:
            place = min(int(row.answer.confidence * BINS), BINS - 1)
            bins.setdefault(place, []).append((row.answer.confidence, right))
    return [
        {
            "confidence": sum(c for c, _ in found) / len(found),
            "right": sum(r for _, r in found) / len(found),
            "n": len(found),
        }
        for _, found in sorted(bins.items())
    ]


def risk_coverage(rows: Sequence[Row]) -> dict[str, object]:
    """Share of wrong answers among the surest, for every share of rows that is answered (El-Yaniv and Wiener 2010).

    Rows of equal confidence are answered together.

    Returns:
        `coverage` and `risk`, at most 120 points; `area`, the mean risk over all coverages (AURC: 0 is perfect); empty
        where no row has a confidence.
    """
    known = [
        (row.answer.confidence, 1 - value)
        for row in rows
        if "label" in row.scores and (value := row.scores["label"].value) is not None
        if row.answer.confidence is not None
    ]
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
