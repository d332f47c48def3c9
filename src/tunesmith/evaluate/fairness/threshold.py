"""A remedy after training: a threshold of its own for each group, fitted on one half of the rows, judged on the other.

Hardt et al. 2016 (arXiv:1610.02413) through fairlearn's ThresholdOptimizer. It needs to know the group of everyone it
decides about, which the law may forbid; and it buys equal rates with worse decisions for some. So it is measured beside
the expert, never switched on by itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.evaluate.fairness.gaps import Cell, largest_gap
from tunesmith.evaluate.fairness.rates import GAPS, cell_of
from tunesmith.evaluate.statistics import Floats

Constraint = Literal["demographic_parity", "equalized_odds", "true_positive_rate_parity"]
_JUDGED = {
    "demographic_parity": "demographic_parity_difference",
    "equalized_odds": "equalized_odds_difference",
    "true_positive_rate_parity": "equal_opportunity_difference",
}


@dataclass(frozen=True)
class Decided:
    """Rows with the probability of the favourable answer.

    Args:
        ids: of the rows.
        score_N: probability of the favourable answer, in [0, 1].
        truth_N: whether it is the right one.
        groups: the protected attribute of each.
        clusters: rows of one cluster are not independent; a cluster is never in both halves.
    """

    ids: Sequence[str]
    score_N: Floats
    truth_N: NDArray[np.bool_]
    groups: Sequence[str]
    clusters: Sequence[str]

    def half(self, first: bool) -> Decided:
        """One of two halves, by a hash of the cluster."""
        mine = [n for n, c in enumerate(self.clusters) if (hashlib.sha256(c.encode()).digest()[0] % 2 == 0) == first]
        pick = np.array(mine, dtype=np.int64)
        return Decided(
            [self.ids[n] for n in mine],
            self.score_N[pick],
            self.truth_N[pick],
            [self.groups[n] for n in mine],
            [self.clusters[n] for n in mine],
        )


def thresholds(
    rows: Decided, *, constraint: Constraint = "equalized_odds", seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """The gap and the accuracy on the second half, decided at 0.5 and by group thresholds fitted on the first.

    Returns:
        `before` and `after`, each with `gap`, `low`, `high`, `accuracy`; `rows` judged, the `fewest` of a group
        with one right answer; `measure`, the gap's name;
        `unjudged`, why there is no such comparison, empty where there is one.

    Raises:
        MissingLibrary: fairlearn is not installed.
    """
    fit, judge = rows.half(True), rows.half(False)
    told: dict[str, Any] = {"measure": _JUDGED[constraint], "rows": len(judge.ids), "unjudged": _unfit(fit, judge)}
    told["fewest"] = min(Counter(zip(judge.groups, judge.truth_N.tolist(), strict=True)).values(), default=0)
    if told["unjudged"]:
        return told
    rule = _fitted(fit, constraint)
    after = rule.predict(judge.score_N[:, None], sensitive_features=np.array(judge.groups), random_state=seed)
    before = judge.score_N >= 0.5
    return told | {
        "before": _judged(judge, before, constraint, level),
        "after": _judged(judge, np.asarray(after).astype(bool), constraint, level),
    }


def _unfit(fit: Decided, judge: Decided) -> str:
    for group in sorted({*fit.groups, *judge.groups}):
        for half, name in ((fit, "fitted"), (judge, "judged")):
            truths = {bool(t) for t, g in zip(half.truth_N, half.groups, strict=True) if g == group}
            if len(truths) < 2:
                return f"group '{group}' has no row of both right answers in the half that is {name}"
    return "" if len(set(judge.groups)) > 1 else "there are no two groups"


def _fitted(rows: Decided, constraint: Constraint) -> Any:
    try:
        from fairlearn.postprocessing import ThresholdOptimizer
    except ModuleNotFoundError:
        hint = "pip install tunesmith[fairness]"
        raise MissingLibrary(Problem("needs-library", "group thresholds need the library 'fairlearn'", hint)) from None
    from sklearn.base import BaseEstimator

    class AsItIs(BaseEstimator):  # type: ignore[misc]
        """The estimator that fairlearn asks for: the score is the prediction, and nothing is learnt."""

        def fit(self, _: Any, __: Any) -> AsItIs:
            return self

        def predict(self, scores_N1: Floats) -> Floats:
            return np.asarray(scores_N1, dtype=np.float64)[:, 0]

        def __sklearn_is_fitted__(self) -> bool:
            return True

    rule = ThresholdOptimizer(
        estimator=AsItIs(), constraints=constraint, objective="accuracy_score", prefit=True, predict_method="predict"
    )
    return rule.fit(rows.score_N[:, None], rows.truth_N.astype(int), sensitive_features=np.array(rows.groups))


def _judged(rows: Decided, said_N: NDArray[np.bool_], constraint: Constraint, level: float) -> dict[str, Any]:
    names = np.array(rows.groups, dtype=str)
    cells = []
    for rate in GAPS[_JUDGED[constraint]]:
        counted, success = cell_of(rate, rows.truth_N, said_N)
        for group in sorted(set(rows.groups)):
            own = np.flatnonzero(counted & (names == group))
            if len(own):
                cells.append(Cell("group", group, rate, success[own], [rows.clusters[int(n)] for n in own]))
    gap = largest_gap(cells, level=level)
    return {
        "gap": gap.value,
        "low": gap.interval.low,
        "high": gap.interval.high,
        "accuracy": float((said_N == rows.truth_N).mean()),
    }
