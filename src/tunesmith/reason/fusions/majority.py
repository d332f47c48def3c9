"""The conclusion that most chains came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.reason.ballot import candidates, fused
from tunesmith.reason.calibrate import Calibrator
from tunesmith.reason.chains import Chain, Fused


@dataclass(frozen=True)
class Majority:
    """The conclusion that most chains came to (self-consistency, Wang et al. 2022, arXiv:2203.11171).

    Of equals the one that was drawn first. The probability is its share of the votes with one vote more cast for "none
    of these", calibrated where it was taught.
    """

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        """How likely right a share of the votes is: `scale` and `shift` of its log-odds."""
        said = [(self.fuse(chains, {}), right) for chains, right in questions]
        with_answer = [(one, one.conclusion == right) for one, right in said if one.conclusion is not None]
        if not with_answer:
            return {}
        found = Calibrator.fit([one.probability for one, _ in with_answer], [good for _, good in with_answer])
        return {"scale": found.scale, "shift": found.shift}

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        """See `Fusion.fuse`."""
        found = candidates(chains)
        votes = [len(one.places) for one in found]
        shares = [count / (sum(votes) + 1) for count in votes]
        calibrated = Calibrator(**learnt)(max(shares)) if learnt and shares else None
        return fused(found, shares, calibrated, votes={one.conclusion: len(one.places) for one in found})
