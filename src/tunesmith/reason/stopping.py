"""When enough chains were drawn: the full vote is all but known.

The full vote is the majority of `full` chains, the first that was drawn winning a tie. Two promises that an early
answer is that of the full vote:

- `Stopping`: over the questions together. The chance that the leader is overtaken by the chains that are left is
  computed from the votes so far (a beta-binomial, Adaptive-Consistency's beta criterion, Aggarwal et al. 2023,
  arXiv:2305.11860, for a vote that ends), and the level of that chance at which drawing stops is set on held-out
  questions so that early and full vote differ in at most `chance` of them (`fit`).
- `surely_settled`: for each question by itself, whatever its chains are like, as election audits do it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Votes = Sequence[str | None]
"""The conclusions of one question's chains in the order they were drawn; None has no vote."""

_LEVELS = tuple(10 ** (-step / 8) for step in range(4, 33))
"""Chances of being overtaken that `fit` tries, from 0.32 down to 0.0001."""


@dataclass(frozen=True)
class Stopping:
    """Stops when the leader will hardly be overtaken.

    Args:
        full: chains of the full vote.
        level: largest chance of being overtaken at which drawing stops.
        lead, rest: the votes for the leader and for all others that one starts with (a beta prior).
        least: fewest votes before it may stop.
    """

    full: int
    level: float = 0.05
    lead: float = 1.0
    rest: float = 1.0
    least: int = 2

    def settled(self, votes: Votes) -> bool:
        """Whether the vote may stop here; always when all chains were drawn, or the rest could not change it."""
        first, second, others = standing(votes)
        left = self.full - len(votes)
        if left <= 0 or first - second > left:
            return True
        if first + second + others < self.least:
            return False
        return overtaken(first, second, others, left, self.lead, self.rest) <= self.level

    def drawn(self, votes: Votes) -> int:
        """How many of a question's chains would have been drawn."""
        return next((n for n in range(1, len(votes)) if self.settled(votes[:n])), len(votes))

    @classmethod
    def fit(cls, questions: Sequence[Votes], *, chance: float = 0.05, confidence: float = 0.95) -> Stopping:
        """The rule that draws least and keeps its promise on questions like these.

        The prior is that of largest likelihood; levels are tested from the strictest on by the exact binomial test, up
        to the first that cannot be confirmed (learn then test, arXiv:2110.01052): with probability `confidence` early
        and full vote differ in at most `chance` of the questions to come. Where no level can be confirmed, nothing
        stops early unless the rest cannot change the vote.

        Args:
            questions: the full vote of each held-out question, all of one length.
            chance: share of questions in which early and full vote may differ.
            confidence: of the promise.
        """
        full = max((len(votes) for votes in questions), default=1)
        lead, rest = cls.prior(questions)
        best = cls(full, 0.0, lead, rest)
        for level in reversed(_LEVELS):
            rule = cls(full, level, lead, rest)
            differ = sum(winner(votes[: rule.drawn(votes)]) != winner(votes) for votes in questions)
            if not confirmed(differ, len(questions), chance, confidence):
                break
            best = rule
        return best

    @staticmethod
    def prior(questions: Sequence[Votes]) -> tuple[float, float]:
        """The beta prior of largest likelihood for the share of the full vote's winner; both numbers in [0.1, 50]."""
        import numpy as np
        from scipy.optimize import minimize
        from scipy.special import betaln

        counts = [standing(votes) for votes in questions]
        won, lost = (np.array([row[0] for row in counts]), np.array([row[1] + row[2] for row in counts]))
        if not (won + lost).sum():
            return 1.0, 1.0

        def loss(x: np.ndarray) -> float:
            a, b = np.exp(x)
            return float(-np.sum(betaln(won + a, lost + b) - betaln(a, b)))

        best = np.exp(minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(math.log(0.1), math.log(50))] * 2).x)
        return float(best[0]), float(best[1])


def confirmed(differ: int, questions: int, chance: float, confidence: float) -> bool:
    """Whether a share of at most `chance` differs in the long run: the exact binomial test against a larger one."""
    from scipy.stats import binom

    return float(binom.cdf(differ, questions, chance)) <= 1 - confidence


def winner(votes: Votes) -> str | None:
    """The answer with most votes, the first drawn of equals; None where nobody voted."""
    counts = Counter(vote for vote in votes if vote is not None)
    return max(counts, key=lambda answer: counts[answer]) if counts else None  # max keeps the first of equals


@lru_cache(maxsize=65536)
def overtaken(first: int, second: int, others: int, left: int, lead: float = 1.0, rest: float = 1.0) -> float:
    """The chance that `left` more chains change the leader, every vote that is not for it going to the second.

    The leader gets X of them, X beta-binomial with parameters `lead` + first and `rest` + second + others; it is
    overtaken if second + left - X > first + X.
    """
    from scipy.stats import betabinom

    needed = math.ceil((second + left - first) / 2)
    return float(betabinom.cdf(needed - 1, left, lead + first, rest + second + others)) if needed > 0 else 0.0


def surely_settled(votes: Votes, *, full: int, chance: float = 0.05) -> bool:
    """Whether the leader has the full vote's absolute majority; wrong in at most `chance` of all orders of draws.

    For an answer that has at most half of the `full` votes, the ratio of the likelihood of its count so far under a
    uniform mixture of majorities to that under half the votes is a supermartingale while chains are drawn without
    replacement (Waudby-Smith and Ramdas 2020, arXiv:2006.04347), so it ever reaches 1/a with chance a at most (Ville).
    The k-th answer that turns up has a = chance / (k (k + 1)), which adds up to `chance`. Holds for each question
    whatever its chains are like, and whenever one looks.
    """
    counts = Counter(vote for vote in votes if vote is not None)
    drawn = sum(counts.values())
    total = full - (len(votes) - drawn)
    if total <= drawn:
        return True
    for place, count in enumerate(counts.values(), 1):
        if 2 * count > drawn and _log_ratio(count, drawn, total) >= math.log(place * (place + 1) / chance):
            return True
    return False


@lru_cache(maxsize=4096)
def _log_ratio(count: int, drawn: int, total: int) -> float:
    half = total // 2
    majorities = [_log_ways(wins, count, drawn, total) for wins in range(half + 1, total + 1)]
    top = max(majorities)
    if top == -math.inf:
        return -math.inf
    mixture = top + math.log(math.fsum(math.exp(one - top) for one in majorities) / len(majorities))
    worst = max(_log_ways(wins, count, drawn, total) for wins in range(half + 1))
    return mixture - worst if worst > -math.inf else math.inf


def _log_ways(wins: int, count: int, drawn: int, total: int) -> float:
    """Log of the ways to draw `count` of `wins` and the rest of the others; minus infinity where there is none."""
    if count > wins or drawn - count > total - wins:
        return -math.inf
    return _log_choose(wins, count) + _log_choose(total - wins, drawn - count)


def _log_choose(many: int, few: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)


def standing(votes: Votes) -> tuple[int, int, int]:
    """Votes of the leader, of the second, and of all others."""
    counts = sorted(Counter(vote for vote in votes if vote is not None).values(), reverse=True)
    return (counts[0] if counts else 0), (counts[1] if len(counts) > 1 else 0), sum(counts[2:])
