"""When enough chains were drawn for the line's own answer, checks and all: it will hardly change any more.

`stopping` looks at votes. Where chains are checked and fused, the answer is not the majority's, and what makes it sure
is more than votes: one chain that the checks find nothing against may say more than three that disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith.reason.chains import Chain, Fused
from tunesmith.reason.stopping import Stopping, confirmed, overtaken, standing, winner

if TYPE_CHECKING:
    from tunesmith.reason.line import Line

Floats = NDArray[np.float64]
Row = Sequence[Chain]
"""A question's chains, as many as the full answer rests on."""

_LOOKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
"""Numbers of chains from which the chance of a change is learnt."""

_FOLDS = 5
_RIDGE = 3.0


@dataclass(frozen=True)
class Settling:
    """Stops when the chance that the fused answer of all chains is another one is small enough.

    Args:
        full: chains of the full answer.
        level: largest chance of a change, per chain drawn so far, at which drawing stops.
        lead, rest: prior of the votes, see `stopping.Stopping`.
        weights: of `features`, the last one the intercept; the log-odds of a change.
    """

    full: int
    level: float
    lead: float
    rest: float
    weights: tuple[float, ...]

    def settled(self, line: Line, chains: Row) -> bool:
        """Whether the chains so far suffice; always when all are drawn."""
        if len(chains) >= self.full:
            return True
        return self.chance(line, chains) <= self.level * len(chains)

    def chance(self, line: Line, chains: Row) -> float:
        """The chance that the answer of all chains is another one than that of these."""
        odds = float(np.dot([*self._features(line.fuse(chains), chains), 1.0], self.weights))
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))

    def _features(self, fused: Fused, chains: Row) -> list[float]:
        return features(fused, chains, prior=(self.lead, self.rest), full=self.full)

    @classmethod
    def fit(cls, line: Line, rows: Sequence[Row], *, chance: float, confidence: float = 0.95) -> Settling:
        """The rule that draws least and keeps its promise on questions like these, see `Stopping.fit`.

        The level is chosen by chances that were learnt on other rows.

        Args:
            line: whose fusion was taught.
            rows: held-out questions with all their chains.
            chance: share of questions in which the early and the full answer may differ.
            confidence: of the promise.
        """
        votes = Stopping.prior([[chain.conclusion for chain in chains] for chains in rows])
        full = max(map(len, rows))
        looks = [look for look in _LOOKS if look < full]
        seen = [_seen(line, chains, looks, prior=votes, full=full) for chains in rows]
        x_NLF, y_NL = np.array([x for x, _ in seen]), np.array([y for _, y in seen], dtype=np.float64)
        chance_NL = np.zeros(y_NL.shape)
        for fold in range(_FOLDS):
            here = np.arange(len(rows)) % _FOLDS == fold
            chance_NL[here] = _chances(x_NLF[here], _weights(x_NLF[~here], y_NL[~here]))
        level = _level(chance_NL / np.array(looks), y_NL, chance=chance, confidence=confidence)
        return cls(full, level, *votes, tuple(map(float, _weights(x_NLF, y_NL))))


def features(fused: Fused, chains: Row, *, prior: tuple[float, float], full: int) -> list[float]:
    """What the chains so far say about a change, in numbers of about -10 to 10.

    The log of the chance that the vote's leader is overtaken; log-odds of the fused answer, and its lead over the next
    one; the log of the number of chains, alone and times that lead; whether the fused answer leads the vote; the mean
    log-probability a token of its chains, and how many of them no check objects to; whether there is no answer.
    """
    votes = [None if chain.unscored else chain.conclusion for chain in chains]
    first, second, others = standing(votes)
    left = full - len(chains)
    turned = overtaken(first, second, others, left, *prior) if first - second <= left else 0.0
    best, next_ = ([*sorted(fused.posterior.values(), reverse=True), 0.0, 0.0])[:2]
    lead = _log(best) - _log(next_)
    own = [chain for chain, vote in zip(chains, votes, strict=True) if vote is not None and vote == fused.conclusion]
    clean = sum(all(finding.verdict != "against" for finding in chain.findings) for chain in own)
    likely = [chain.log_probability / chain.tokens for chain in own if chain.log_probability and chain.tokens]
    many = math.log(len(chains))
    return [
        _log(turned),
        _log(best) - _log(1.0 - best),
        lead,
        many,
        many * lead,
        float(fused.conclusion == winner(votes)),
        sum(likely) / len(likely) if likely else 0.0,
        math.log1p(clean),
        float(fused.conclusion is None),
    ]


def _log(value: float) -> float:
    return math.log(max(value, 1e-4))


def _seen(
    line: Line, chains: Row, looks: Sequence[int], *, prior: tuple[float, float], full: int
) -> tuple[list[list[float]], list[bool]]:
    """Of a question, at each look: the features, and whether the answer changed after it."""
    last = line.fuse(chains).conclusion
    early = [line.fuse(chains[:look]) for look in looks]
    rows = [features(one, chains[:look], prior=prior, full=full) for one, look in zip(early, looks, strict=True)]
    return rows, [one.conclusion != last for one in early]


def _weights(x_NLF: Floats, y_NL: Floats) -> Floats:
    """Logistic regression with a ridge over standardised features; weights of the plain ones, the intercept last."""
    from scipy.optimize import minimize

    x, y = x_NLF.reshape(-1, x_NLF.shape[-1]), y_NL.ravel()
    if not len(x):
        return np.zeros(x_NLF.shape[-1] + 1)
    mean_F, size_F = x.mean(0), x.std(0) + 1e-6
    z = np.column_stack([(x - mean_F) / size_F, np.ones(len(x))])
    ridge_F = np.append(np.full(len(mean_F), _RIDGE), 0.1)

    def loss(w_F: Floats) -> tuple[float, Floats]:
        odds = z @ w_F
        gradient = z.T @ (1.0 / (1.0 + np.exp(-odds)) - y) + ridge_F * w_F
        return float(np.sum(np.logaddexp(0.0, odds) - y * odds) + (ridge_F / 2 * w_F**2).sum()), gradient

    w_F = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x
    plain_F = w_F[:-1] / size_F
    return np.append(plain_F, w_F[-1] - plain_F @ mean_F)


def _chances(x_NLF: Floats, weights_F: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x_NLF @ weights_F[:-1] + weights_F[-1], -50, 50))))


def _level(score_NL: Floats, change_NL: Floats, *, chance: float, confidence: float) -> float:
    """The highest level up to which every one keeps the promise; 0 where none does."""
    never_N1 = np.zeros((len(score_NL), 1))
    score_NL, change_NL = np.hstack([score_NL, never_N1]), np.hstack([change_NL, never_N1])
    best = 0.0
    for level in np.unique(np.quantile(score_NL[:, :-1], np.linspace(0, 1, 60))) if score_NL.size else ():
        stop_N = (score_NL <= level).argmax(1)
        if not confirmed(int(change_NL[np.arange(len(stop_N)), stop_N].sum()), len(stop_N), chance, confidence):
            break
        best = float(level)
    return best
