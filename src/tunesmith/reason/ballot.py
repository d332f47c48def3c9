"""What speaks for each of the conclusions that chains came to, in numbers: the evidence that fusions weigh.

Axes: A conclusion (candidate), F feature.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunesmith.reason.chains import Chain, Fused
from tunesmith.reason.equations import equations
from tunesmith.reason.numerals import read_number, shown

_MOST_COUNTED = 3


@dataclass(frozen=True)
class Candidate:
    """One conclusion with the chains that came to it, as places in the order they were drawn."""

    conclusion: str
    places: tuple[int, ...]


def candidates(chains: Sequence[Chain]) -> list[Candidate]:
    """The conclusions in the order of their first chain; unscored chains and those without one have no vote."""
    places: dict[str, list[int]] = {}
    for place, chain in enumerate(chains):
        if chain.conclusion is not None and not chain.unscored:
            places.setdefault(chain.conclusion, []).append(place)
    return [Candidate(conclusion, tuple(some)) for conclusion, some in places.items()]


def evidence(chains: Sequence[Chain]) -> list[dict[str, float]]:
    """Feature -> value for each candidate, in the order of `candidates`; a feature that is absent is 0.

    `source:S`: log2(1 + votes of S), 1 for one vote. `agree:2`, `agree:3`: at least so many sources agree.
    `check:C:against`, `check:C:for`: findings of a check, counted up to three, as a share of three, averaged over its
    chains. `results`: share of its chains' intermediate results that chains with another conclusion have too. `inside`:
    chains with another conclusion that have it as an intermediate result (log2 of their number and one). `fraction`,
    `negative`: of a number. `likelihood`: mean log-probability per token of its chains above that of all chains.
    """
    found = candidates(chains)
    results = [_results(chain.written) for chain in chains]
    usual = _mean([_per_token(chain) for chain in chains if _per_token(chain) is not None])
    return [
        {
            **_votes([chains[place] for place in one.places]),
            **_findings([chains[place] for place in one.places]),
            **_shared(one, found, results),
            **_form(one.conclusion),
            "likelihood": _mean([_per_token(chains[place]) for place in one.places]) - usual,
        }
        for one in found
    ]


def _votes(supporters: Sequence[Chain]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for chain in supporters:
        counts[chain.source] = counts.get(chain.source, 0) + 1
    votes = {f"source:{source}": math.log2(1 + count) for source, count in counts.items()}
    return votes | {f"agree:{many}": float(len(counts) >= many) for many in (2, 3)}


def _findings(supporters: Sequence[Chain]) -> dict[str, float]:
    said: dict[str, float] = {}
    for chain in supporters:
        counts: dict[str, int] = {}
        for finding in chain.findings:
            if finding.verdict != "silent":
                name = f"check:{finding.check}:{finding.verdict}"
                counts[name] = min(_MOST_COUNTED, counts.get(name, 0) + 1)
        for name, count in counts.items():
            said[name] = said.get(name, 0.0) + count / _MOST_COUNTED / len(supporters)
    return said


@lru_cache(maxsize=4096)
def _results(written: str) -> frozenset[str]:
    """The results of a chain's equations, in canonical form; kept, since chains are fused again as more are drawn."""
    return frozenset(shown(equation.right.values[0]) for equation in equations(written))


def _shared(one: Candidate, all_: Sequence[Candidate], results: Sequence[frozenset[str]]) -> dict[str, float]:
    others = [place for other in all_ if other is not one for place in other.places]
    told = Counter(result for place in others for result in results[place])
    own = [results[place] - {one.conclusion} for place in one.places]
    shares = [sum(told[result] for result in mine) / len(mine) / len(others) for mine in own if mine and others]
    return {"results": _mean(shares), "inside": math.log2(1 + told[one.conclusion])}


def _form(conclusion: str) -> dict[str, float]:
    value = read_number(conclusion)
    if value is None:
        return {}
    return {"fraction": float(value.denominator != 1), "negative": float(value <= 0)}


def _per_token(chain: Chain) -> float | None:
    if chain.log_probability is None or not chain.tokens:
        return None
    return chain.log_probability / chain.tokens


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else 0.0


def fused(
    found: Sequence[Candidate], shares_A: Sequence[float], probability: float | None = None, **detail: object
) -> Fused:
    """What candidates come to: the one with the largest share, the earliest of equals; its first chain speaks."""
    if not found:
        return Fused(conclusion=None, probability=0.0, posterior={}, chosen=None, detail=detail)
    best = max(range(len(found)), key=lambda place: shares_A[place])
    posterior = {one.conclusion: float(share) for one, share in zip(found, shares_A, strict=True)}
    sure = float(shares_A[best]) if probability is None else probability
    return Fused(
        conclusion=found[best].conclusion,
        probability=min(1.0, max(0.0, sure)),
        posterior=posterior,
        chosen=found[best].places[0],
        detail=detail,
    )
