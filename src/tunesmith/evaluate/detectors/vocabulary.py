"""Detector: words and pairs of words that the domain does not use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.evaluate.detectors._detector import State
from tunesmith.models.features import Features, Floats

_SHIFT = 1 << 24
"""More than any token's number; tokens below it are kept exactly by the float32 arrays of a stored state."""

_START = _SHIFT - 1
"""Stands before a question's first token."""

_TOKENS = 50_000
"""Tokens that one that the domain never uses may be; sets what one such token costs."""


@dataclass(frozen=True)
class Vocabulary:
    """How unlikely a question's tokens are by the training questions' pairs of tokens, less how unlikely by the model.

    A likelihood ratio whose one side is counted instead of trained (Ren et al. 2019): what is rare in any text is rare
    for the model too, and cancels out; what is left is rare here. Pairs are smoothed by single tokens (Witten and Bell
    1991). In nats per token. Takes no forward of its own, and learns from questions that the model has not read too.
    """

    def fit(self, seen: Features, general: Features) -> State:
        """Counts of tokens and of pairs in the training questions, sorted by token."""
        import numpy as np

        pairs = np.concatenate([_pairs(own) for own in (*seen.ids, *seen.more_ids)])
        found, counts = np.unique(pairs[:, 0] * _SHIFT + pairs[:, 1], return_counts=True)
        tokens, single = np.unique(pairs[:, 1], return_counts=True)
        before, starts = np.unique(found // _SHIFT, return_index=True)
        arrays = {
            "tokens": tokens,
            "counts": single,
            "first": found // _SHIFT,
            "second": found % _SHIFT,
            "pair_counts": counts,
            "before": before,
            "before_counts": np.add.reduceat(counts, starts),
            "before_kinds": np.add.reduceat(np.ones_like(counts), starts),
        }
        return {name: values.astype(np.float64) for name, values in arrays.items()}

    def score(self, state: State, features: Features) -> Floats:
        """Nats per token."""
        import numpy as np

        known = state["first"].astype(np.int64) * _SHIFT + state["second"].astype(np.int64)
        total, kinds = state["counts"].sum(), len(state["counts"])

        def nats(own: tuple[int, ...]) -> float:
            pairs = _pairs(own)
            alone = (_count(state["tokens"], state["counts"], pairs[:, 1]) + kinds / _TOKENS) / (total + kinds)
            both = _count(known, state["pair_counts"], pairs[:, 0] * _SHIFT + pairs[:, 1])
            here = _count(state["before"], state["before_counts"], pairs[:, 0])
            fresh = _count(state["before"], state["before_kinds"], pairs[:, 0])
            follows = np.where(here > 0, (both + fresh * alone) / np.maximum(here + fresh, 1.0), alone)
            return float(-np.log(follows).mean())

        return np.array([nats(own) for own in features.ids], dtype=np.float64) - features.nats_N


def _pairs(own: tuple[int, ...]) -> Any:
    """(token before, token) of each token [T, 2], whole numbers."""
    import numpy as np

    return np.stack([np.array([_START, *own[:-1]]), np.array(own)], axis=1).astype(np.int64)


def _count(known: Any, counts: Floats, asked: Any) -> Floats:
    """The counts of `asked` among the sorted `known`, 0 for what is not there."""
    import numpy as np

    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found: Floats = np.where(known[at] == asked, counts[at], 0.0)
    return found
