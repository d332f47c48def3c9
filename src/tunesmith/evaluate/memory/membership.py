"""Membership: can somebody tell from the expert's likelihoods whether a row was in its training data?

Three attackers, each one number a row, higher for members: `loss`, the answer's mean log-probability; `ratio`, the same
less the base's, which takes away what is likely as such (Carlini et al. 2022, without shadow models); `min_k`, the mean
over the fifth of its tokens that are least likely (Shi et al. 2024), where the model is at hand. Judged by the area
under the ROC curve over training rows and held-out rows of the same kind: 0.5 tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import UserError
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Example, Measure
from tunesmith.evaluate.asking import at_hand

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Area:
    """Area under the ROC curve with DeLong's standard error (DeLong et al. 1988), over members and others."""

    value: float
    error: float
    members: int
    others: int

    def interval(self, level: float) -> tuple[float, float]:
        """On the logit scale, so that it stays within (0, 1); the whole range where the error cannot be told."""
        from scipy.special import expit, logit, ndtri

        if not 0 < self.value < 1 or self.error == 0:
            return _exact_end(self, level)
        half = float(ndtri((1 + level) / 2)) * self.error / (self.value * (1 - self.value))
        return float(expit(logit(self.value) - half)), float(expit(logit(self.value) + half))


def area(members_N: Floats, others_M: Floats) -> Area:
    """How well a score tells members, whose scores should be higher, from others.

    Args:
        members_N: scores of rows that were trained on.
        others_M: scores of rows that were not.
    """
    wins_NM = (members_N[:, None] > others_M) + 0.5 * (members_N[:, None] == others_M)
    by_member, by_other = wins_NM.mean(1), wins_NM.mean(0)
    n, m = len(members_N), len(others_M)
    variance = (by_member.var(ddof=1) / n if n > 1 else 0.0) + (by_other.var(ddof=1) / m if m > 1 else 0.0)
    return Area(float(wins_NM.mean()), math.sqrt(variance), n, m)


def least_seen(members: int, others: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest area above 0.5 that so many rows find with a chance of `power`, by the variance at 0.5.

    At 0.5 the variance is (N + M + 1) / 12NM (Mann and Whitney 1947).
    """
    from scipy.special import ndtri

    error = math.sqrt((members + others + 1) / (12 * members * others))
    return min(1.0, 0.5 + float(ndtri(1 - alpha / 2) + ndtri(power)) * error)


def membership_scores(
    expert: LikelihoodAnswerer, rows: Sequence[Example], *, base: LikelihoodAnswerer | None = None
) -> dict[str, Floats]:
    """Each attacker's score of each row [N], NaN for rows beyond the context.

    `loss` always, `ratio` where the base is given, `min_k` where the expert is a model of this process.

    Args:
        expert: the trained model.
        rows: rows that end with an assistant turn.
        base: the model before training.
    """
    ours = _per_token(expert, rows)
    found = {"loss": ours} | ({"ratio": ours - _per_token(base, rows)} if base is not None else {})
    if (shown := at_hand(expert)) is not None:
        from tunesmith.models.features import answer_logs

        context = int(getattr(shown, "context", 1 << 30))
        asked = [(row.prompt, row.messages[-1].content) for row in rows]
        found["min_k"] = min_k(answer_logs(shown.model, shown.chat, asked, context=context))
    return found


def _per_token(answerer: LikelihoodAnswerer, rows: Sequence[Example]) -> Floats:
    """Mean log-probability of each row's answer; NaN for a row that is longer than the model's context."""
    try:
        found = answerer.likelihood([row.prompt for row in rows], [[row.messages[-1].content] for row in rows])
    except UserError:
        return np.array([np.nan]) if len(rows) == 1 else np.concatenate([_per_token(answerer, [row]) for row in rows])
    return np.array([one[0].per_token for one in found], dtype=np.float64)


def min_k(token_logs: Sequence[Sequence[float]], share: float = 0.2) -> Floats:
    """Mean log-probability of the least likely tokens of each text [N] (Shi et al. 2024, eq. 2).

    Args:
        token_logs: log-probabilities of the tokens of each text; NaN comes of an empty one.
        share: of the tokens, at least one.
    """
    rows = [np.sort(np.asarray(logs, dtype=np.float64)) for logs in token_logs]
    return np.array([row[: max(1, round(share * len(row)))].mean() if len(row) else np.nan for row in rows])


def membership_measures(members: dict[str, Floats], others: dict[str, Floats], *, level: float = 0.95) -> list[Measure]:
    """`membership_auc` per attacker (slice `attacker=NAME`), and over all of them the strongest one's.

    The strongest is chosen by its lower end at a level that allows for the choice (Bonferroni). Scores that are not
    finite are left out and counted as unscored.
    """
    lost = sum(int((~np.isfinite(side.get("loss", np.zeros(0)))).sum()) for side in (members, others))
    members, others = ({name: s[np.isfinite(s)] for name, s in side.items()} for side in (members, others))
    names = sorted(members.keys() & others.keys())
    if not names or not len(members[names[0]]) or not len(others[names[0]]):
        none: dict[str, Any] = {"model": "expert", "value": None, "n": 0, "level": level, "method": "none: no rows"}
        return [Measure(name="membership_auc", unscored=lost, **none)]
    areas = {name: area(members[name], others[name]) for name in names}
    strict = 1 - (1 - level) / len(names)
    worst = max(names, key=lambda name: areas[name].interval(strict)[0])
    told = _measure(areas[worst], "all", level, strict, f"; the strongest of {len(names)} attackers, {worst}")
    return [
        told.model_copy(update={"unscored": lost}),
        *(_measure(areas[name], f"attacker={name}", level, level, "") for name in names),
    ]


def _measure(found: Area, where: str, level: float, used: float, more: str) -> Measure:
    low, high = found.interval(used)
    least = least_seen(found.members, found.others, alpha=1 - used)
    return Measure(
        name="membership_auc",
        model="expert",
        value=found.value,
        low=low,
        high=high,
        level=level,
        n=found.members + found.others,
        slice=where,
        method=f"DeLong, {found.members} members; an area of {least:.2f} would be seen{more}",
    )


def _exact_end(found: Area, level: float) -> tuple[float, float]:
    """All members above all others, or below: the end that is open is what the Mann-Whitney variance at 0.5 allows."""
    gap = least_seen(found.members, found.others, alpha=1 - level, power=0.5) - 0.5
    return max(0.0, found.value - gap), min(1.0, found.value + gap)
