"""The posterior over the conclusions, each vote weighed by all that is known of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tunesmith.reason.ballot import candidates, evidence, fused
from tunesmith.reason.chains import Chain, Fused

Floats = NDArray[np.float64]

_NONE = "none"
_MANY = 2
"""A feature that fewer held-out questions show has no weight: two cases teach nothing."""


@dataclass(frozen=True)
class Bayesian:
    """The posterior over the conclusions, each vote weighed by its source's record, its checks and who agrees with it.

    The log-odds of a conclusion are a sum: the log likelihood ratio of each source's vote (Dawid and Skene 1979), of
    each check's finding, of sources agreeing, of intermediate results that other chains share, of its form (the prior
    over answers). "None of these" competes with its own log-odds, so there is room for an answer that nobody gave. The
    ratios are not counted one by one, which would count related evidence twice, but fitted together on held-out
    questions (conditional logit, McFadden 1974) and drawn to 0 by a ridge. A vote never speaks against its answer.

    Without held-out questions every source counts alike, and a failed check costs most of a vote.

    Args:
        ridge: how strongly ratios are drawn to 0, in units of questions.
    """

    ridge: Annotated[float, Field(gt=0)] = 3.0

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        """`weights`: feature -> log likelihood ratio; `none`: log-odds that no chain is right."""
        rows = [
            (evidence(chains), [one.conclusion for one in candidates(chains)], right) for chains, right in questions
        ]
        shown: dict[str, int] = {}
        for features, _, _ in rows:
            for name in {name for one in features for name, value in one.items() if value}:
                shown[name] = shown.get(name, 0) + 1
        names = sorted(name for name, count in shown.items() if count >= _MANY)
        if not names:
            return {}
        weights_F, none = _fitted(rows, names, self.ridge)
        return {"weights": dict(zip(names, map(float, weights_F), strict=True)), _NONE: none}

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        """See `Fusion.fuse`."""
        found, features = candidates(chains), evidence(chains)
        odds = [math.fsum(value * _weight(name, learnt) for name, value in one.items()) for one in features]
        none = float(learnt.get(_NONE, 1.0))
        top = max([*odds, none])
        mass = math.fsum(math.exp(one - top) for one in [*odds, none])
        shares = [math.exp(one - top) / mass for one in odds]
        told = {one.conclusion: round(value, 6) for one, value in zip(found, odds, strict=True)}
        return fused(found, shares, log_odds=told, none=round(math.exp(none - top) / mass, 6))


def _weight(name: str, learnt: dict[str, Any]) -> float:
    """The learnt weight of a feature; for a source that nobody knows, the mean of those that are known."""
    weights: dict[str, float] = learnt.get("weights", {})
    if name in weights:
        return weights[name]
    if name.startswith("source:"):
        known = [weight for other, weight in weights.items() if other.startswith("source:")]
        return math.fsum(known) / len(known) if known else 2.0
    if weights:
        return 0.0
    return -1.5 if name.endswith(":against") else 0.5 if name.endswith(":for") or name == "agree:2" else 0.0


def _fitted(
    rows: Sequence[tuple[list[dict[str, float]], list[str], str]], names: Sequence[str], ridge: float
) -> tuple[Floats, float]:
    """Weights of largest penalised likelihood. Axes: N question, A candidate (the last: none of these), F feature."""
    from scipy.optimize import minimize

    most = max(len(features) for features, _, _ in rows)
    x_NAF = np.zeros((len(rows), most + 1, len(names) + 1))
    absent_NA = np.full((len(rows), most + 1), -np.inf)
    absent_NA[:, most], x_NAF[:, most, -1] = 0.0, 1.0
    right_N = np.full(len(rows), most)
    for n, (features, conclusions, right) in enumerate(rows):
        for a, one in enumerate(features):
            x_NAF[n, a, :-1] = [one.get(name, 0.0) for name in names]
            absent_NA[n, a] = 0.0
        if right in conclusions:
            right_N[n] = conclusions.index(right)
    size_F = np.append(np.maximum(x_NAF[..., :-1][absent_NA == 0].std(axis=0), 1e-9), 1.0)
    size_F[[n for n, name in enumerate(names) if name.startswith(("source:", "agree:"))]] = 1.0
    x_NAF /= size_F
    chosen = np.arange(len(rows)), right_N
    ridge_F = np.append(np.full(len(names), ridge), 0.1)

    def loss(w_F: Floats) -> tuple[float, Floats]:
        z_NA = x_NAF @ w_F + absent_NA
        z_NA -= z_NA.max(axis=1, keepdims=True)
        p_NA = np.exp(z_NA)
        p_NA /= p_NA.sum(axis=1, keepdims=True)
        gradient = (np.einsum("na,naf->nf", p_NA, x_NAF) - x_NAF[chosen]).sum(axis=0) + ridge_F * w_F
        return float(-np.log(np.maximum(p_NA[chosen], 1e-300)).sum() + (ridge_F / 2 * w_F**2).sum()), gradient

    bounds = [(0.0 if name.startswith("source:") else None, None) for name in names] + [(None, None)]
    best_F = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x / size_F
    return best_F[:-1], float(best_F[-1])
