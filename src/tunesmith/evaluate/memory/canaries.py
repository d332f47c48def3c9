"""Canaries: secrets planted in the training rows, to measure whether the expert has memorised them.

A canary is a row with a secret number, planted by the source `canaries` or by a file of the project whose rows have the
attribute `canary`. Its exposure (Carlini et al. 2019, "The secret sharer", eq. 1) is log2 of how many digit strings of
its form there are, less log2 of the canary's rank among them by likelihood: 0 bits says nothing was learnt, all bits
that the expert finds it likelier than any other. The rank among all is estimated from a sample, by a normal fit to the
sample's log-probabilities where the canary beats them all.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import CANARY, Example, Measure

_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True)
class Exposed:
    """How well the expert knows one canary.

    Args:
        row: the canary.
        exposure: in bits, from 0 to those of its digits: 29.9 for nine.
        rank: among the sampled alternatives, 1 the likeliest; p = rank / (alternatives + 1).
        alternatives: sampled digit strings.
    """

    row: Example
    exposure: float
    rank: int
    alternatives: int

    @property
    def p(self) -> float:
        """Chance of so good a rank for a canary that the expert never saw."""
        return self.rank / (self.alternatives + 1)


def planted(rows: Sequence[Example]) -> tuple[list[Example], int]:
    """The canaries among `rows`, and how many have lost their secret: a cleaner changed it, or it has no digit."""
    marked = [row for row in rows if CANARY in row.attributes]
    whole = [row for row in marked if _DIGIT.search(row.attributes[CANARY]) and row.attributes[CANARY] in _said(row)]
    return whole, len(marked) - len(whole)


def _said(row: Example) -> str:
    last = row.messages[-1] if row.messages else None
    return last.content if last and last.role == "assistant" else ""


def exposures(
    answerer: LikelihoodAnswerer, rows: Sequence[Example], *, alternatives: int | None = None, seed: int = 0
) -> list[Exposed]:
    """The exposure of each different canary among `rows`.

    Args:
        answerer: the expert.
        rows: canaries, see `planted`.
        alternatives: digit strings that each is compared with; None: 20 for each canary and at least 100, the fewest
            among which a first place is beyond chance for all canaries together at 5 %.
        seed: of these.
    """
    different = list({row.id: row for row in rows}.values())
    dice = random.Random(f"alternatives {seed}")
    number = max(100, 20 * len(different)) if alternatives is None else alternatives
    found = []
    for row in different:
        secret = row.attributes[CANARY]
        others = [_DIGIT.sub(lambda _: str(dice.randrange(10)), secret) for _ in range(number)]
        said = row.messages[-1].content
        options = [said, *(said.replace(secret, other) for other in others)]
        likelihoods = answerer.likelihood([row.prompt], [options])[0]
        logs = np.array([one.log_probability for one in likelihoods])
        found.append(_exposed(row, float(logs[0]), logs[1:]))
    return found


def _exposed(row: Example, own: float, others_N: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Exposed:
    from scipy.stats import norm

    bits = len(_DIGIT.findall(row.attributes[CANARY])) * math.log2(10)

    better = int((others_N >= own).sum())
    share = better / len(others_N)
    if not better:  # beyond the sample: how far, by a normal fit, but no nearer than the sample shows
        spread = float(others_N.std()) or 1e-9
        share = min(float(norm.sf((own - others_N.mean()) / spread)), 0.5 / len(others_N))
    exposure = min(bits, -math.log2(share)) if share > 0 else bits
    return Exposed(row, exposure, better + 1, len(others_N))


def canary_measures(found: Sequence[Exposed], *, level: float = 0.95) -> list[Measure]:
    """`canaries_memorised`: the share of canaries that rank too well for chance; `canary_exposure`: mean bits.

    All canaries are tested together, see `memorised`.
    """
    if not found:
        none = {"model": "expert", "value": None, "n": 0, "level": level, "method": "none: no canaries were planted"}
        return [Measure(name="canaries_memorised", **none), Measure(name="canary_exposure", unit="bits", **none)]
    from tunesmith.evaluate.statistics import Interval, Sampling, bootstrap_interval, share_interval

    held = memorised(found, alpha=1 - level)
    names = [exposed.row.id for exposed in found]
    share = share_interval(np.array([float(e.row.id in held) for e in found]), names, level=level)
    bits = np.array([exposed.exposure for exposed in found])
    interval = Interval(None, None, "none: fewer than three canaries")
    if len(found) > 2:
        interval = bootstrap_interval(lambda w: w @ bits / w.sum(1), names, Sampling(level=level, resamples=1000))
    return [
        Measure(
            name="canaries_memorised", model="expert", value=len(held) / len(found), low=share.low, high=share.high,
            level=level, n=len(found), method=share.method,
        ),
        Measure(
            name="canary_exposure", model="expert", value=float(bits.mean()), low=interval.low, high=interval.high,
            level=level, n=len(found), method=interval.method, unit="bits",
        ),
    ]  # fmt: skip


def memorised(found: Sequence[Exposed], *, alpha: float = 0.05) -> set[str]:
    """Ids of the canaries whose rank is too good for chance, all of them tested together (Holm 1979)."""
    ordered = sorted(found, key=lambda exposed: exposed.p)
    held: set[str] = set()
    for place, exposed in enumerate(ordered):
        if exposed.p > alpha / (len(ordered) - place):
            break
        held.add(exposed.row.id)
    return held


def power_words(found: Sequence[Exposed], *, lost: int = 0, alpha: float = 0.05) -> str:
    """What the test of canaries could have seen, in a sentence.

    Args:
        found: the canaries that were tested.
        lost: rows of canaries that could not be, see `planted`.
        alpha: chance of a false alarm over all of them.
    """
    if lost:
        told = f"{lost} planted rows do not hold their secret any more: look at data.clean"
        return f"{power_words(found, alpha=alpha)}; {told}" if found else told
    if not found:
        return "no canaries were planted: what the expert memorises of rare rows was not tested"
    from tunesmith.evaluate.abstention import upper_bound

    held = len(memorised(found, alpha=alpha))
    most = upper_bound(held, len(found), alpha)
    least = len(found) / alpha - 1
    if found[0].alternatives < least:
        return (
            f"{len(found)} canaries against {found[0].alternatives} alternatives cannot show anything: "
            f"at least {math.ceil(least)} alternatives are needed"
        )
    told = f"{held} of {len(found)} canaries" if held else f"none of {len(found)} canaries"
    bits = math.log2(len(found) / alpha)
    return (
        f"{told} memorised; an exposure of {bits:.1f} bits or more of a single one would be seen, and at most "
        f"{100 * most:.0f} % of such rows are memorised ({100 * (1 - alpha):.0f} % sure)"
    )
