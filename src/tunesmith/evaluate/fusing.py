"""How much each detector counts: learnt on questions that the domain's own rows and general texts stand in for.

What will be asked from outside is not known, and nothing of it is needed. Near questions are imitated by leaving a part
of the domain out (a heap of like questions), fitting on the rest, and scoring what was left out; far ones are general
texts that the detectors have not seen. A logistic regression with weights that cannot be negative then tells both from
questions of the rest that were kept apart. This is outlier exposure (Hendrycks et al. 2019) with a handful of weights,
so a few hundred questions are enough for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tunesmith.models.features import Features, Floats

HEAPS = 6
"""Parts that the domain is divided into; each is left out in turn."""

FEWEST = 60
"""Questions of the domain below which nothing is left out, and all detectors count alike."""

Score = Callable[[Features], Floats]
Fit = Callable[[Features, Features], Mapping[str, Score]]
"""From questions of the domain and general texts to each detector's scores."""

_KINDS = {"inside": 0.5, "near": 0.35, "far": 0.15}
"""What each kind counts in the regression; far ones are told easily, so near ones decide."""

_PENALTY = 0.01


@dataclass(frozen=True)
class Rehearsal:
    """Scores [rows, detectors] on the common scale, of all turns together.

    Args:
        inside: questions of the domain that were kept apart.
        near: questions of the part that was left out.
        far: general texts that were not seen.
    """

    inside: Floats
    near: Floats
    far: Floats


def middle_and_spread(scores_N: Floats) -> tuple[float, float]:
    """Median, and 1.4826 times the median absolute deviation; the standard deviation where that is 0, 1 where both."""
    middle = float(np.median(scores_N))
    return middle, 1.4826 * float(np.median(np.abs(scores_N - middle))) or float(scores_N.std()) or 1.0


def on_scale(scores_N: Floats, middle: float, spread: float) -> Floats:
    """Spreads from the median, beyond the first few by their logarithm: no detector drowns the others."""
    away = (scores_N - middle) / spread
    scaled: Floats = np.sign(away) * np.log1p(np.abs(away))
    return scaled


def rehearse(seen: Features, general: Features, fit: Fit) -> Rehearsal | None:
    """Leave each heap of the domain out in turn; None where there are too few questions."""
    found: dict[str, list[Floats]] = {kind: [] for kind in _KINDS}
    if len(seen) < FEWEST or len(general) < 2:
        return None
    for out, rest, more in _heaps(seen):
        own = replace(seen.take([row for n, row in enumerate(rest) if n % 3]), more_ids=more)
        scores = fit(own, general.take(range(0, len(general), 2)))
        asked = {"inside": seen.take(rest[::3]), "near": seen.take(out), "far": general.take(range(1, len(general), 2))}
        scales = {name: middle_and_spread(score(asked["inside"])) for name, score in scores.items()}
        for kind, some in asked.items():
            columns = [on_scale(score(some), *scales[name]) for name, score in scores.items()]
            found[kind].append(np.stack(columns, axis=1))
    return Rehearsal(**{kind: np.concatenate(parts) for kind, parts in found.items()}) if found["near"] else None


def weights(rehearsed: Rehearsal) -> Floats:
    """One per detector, at least 0, adding up to 1; all alike where none of them tells anything."""
    from scipy.optimize import minimize
    from scipy.special import expit

    parts = {kind: getattr(rehearsed, kind) for kind in _KINDS}
    rows = np.concatenate(list(parts.values()))
    outside = np.concatenate([np.full(len(part), float(kind != "inside")) for kind, part in parts.items()])
    counts = np.concatenate([np.full(len(part), _KINDS[kind] / len(part)) for kind, part in parts.items()])
    number = rows.shape[1]

    def loss(values: Floats) -> tuple[float, Floats]:
        total = rows @ values[:number] + values[number]
        slope = counts * (expit(total) - outside)
        penalty = _PENALTY * float((values[:number] ** 2).sum())
        gradient = np.append(rows.T @ slope + 2 * _PENALTY * values[:number], slope.sum())
        return float((counts * (np.logaddexp(0, total) - outside * total)).sum()) + penalty, gradient

    bounds = [(0.0, None)] * number + [(None, None)]
    found = minimize(loss, np.append(np.full(number, 1 / number), 0.0), jac=True, method="L-BFGS-B", bounds=bounds)
    learnt: Floats = np.maximum(found.x[:number], 0.0)
    return learnt / learnt.sum() if learnt.sum() > 1e-9 else np.full(number, 1 / number)


def _heaps(seen: Features) -> Iterator[tuple[list[int], list[int], tuple[tuple[int, ...], ...]]]:
    """Rows of a heap, the other rows, further questions of other heaps; the same ones every time.

    Heaps are found by k-means on 20 principal directions of the states.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    states = (seen.states_ND - seen.states_ND.mean(0)) / (seen.states_ND.std(0) + 1e-9)
    left, sizes, _ = np.linalg.svd(states, full_matrices=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # questions that are all alike make fewer heaps
        heaps = KMeans(HEAPS, n_init=3, random_state=0).fit_predict((left * sizes)[:, :20])
    further = _by_words(seen, heaps)
    for heap in range(HEAPS):
        out, rest = np.flatnonzero(heaps == heap).tolist(), np.flatnonzero(heaps != heap).tolist()
        if len(out) >= 4 and len(rest) >= FEWEST // 2:
            yield out, rest, tuple(own for own, its in zip(seen.more_ids, further, strict=True) if its != heap)


def _by_words(seen: Features, heaps: NDArray[np.int64]) -> list[int]:
    """The heap of each further question: the one whose tokens make its own likeliest, each counted once more."""
    size = 1 + max((max(own) for own in (*seen.ids, *seen.more_ids)), default=0)
    counts = np.ones((HEAPS, size))
    for own, heap in zip(seen.ids, heaps, strict=True):
        np.add.at(counts[heap], list(own), 1.0)
    logs = np.log(counts / counts.sum(1, keepdims=True))
    return [int(logs[:, list(own)].sum(1).argmax()) for own in seen.more_ids]
