"""Is this question of the domain at all? Detectors fitted on the snapshot, fused, held to a rate of false alarms.

Each detector's scores are put on the scale of the calibration questions, and added with weights that were learnt on
imitated outsiders (`fusing`). The threshold is one that keeps the rate of false alarms in all but a chosen share of
calibrations, whatever the scores look like (`thresholds`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ids import digest_file
from tunesmith.evaluate.detectors._detector import Detector, State
from tunesmith.evaluate.fusing import middle_and_spread, on_scale, rehearse, weights
from tunesmith.evaluate.safety_spec import DETECTORS
from tunesmith.evaluate.thresholds import sure_threshold
from tunesmith.models.features import Features, Floats

USUAL = ("neighbours", "relative_mahalanobis", "vocabulary")
"""What is taken where nothing else is asked for: near questions are told best by the first and the last, far ones by
the second, and each fails on some domain where the others do not (docs/lab.md)."""

JSON, ARRAYS = "detector.json", "detector.safetensors"


@dataclass(frozen=True)
class Fitted:
    """Detectors that know a domain.

    Args:
        uses: name -> component as settings, with `use`.
        states: name -> what it learnt.
        weights: name -> what it counts; they add up to 1.
        middle, spread: name -> median of its scores on the calibration questions, and their spread (1.4826 MAD).
        threshold: fused score from which a question is alarmed; infinite where too few questions calibrate the rate.
        false_alarms: the chosen rate; `delta`: share of calibrations in which it may be passed.
        prefix: tokens that all questions of the domain begin with.
        calibrated_on: number of calibration questions.
    """

    uses: Mapping[str, Any]
    states: Mapping[str, State]
    weights: Mapping[str, float]
    middle: Mapping[str, float]
    spread: Mapping[str, float]
    threshold: float
    false_alarms: float
    delta: float
    prefix: tuple[int, ...]
    calibrated_on: int

    def scores(self, features: Features) -> dict[str, Floats]:
        """Each detector's scores on the common scale, and `fused`, their weighted sum; [N] each."""
        found = {
            name: on_scale(build(use).score(self.states[name], features), self.middle[name], self.spread[name])
            for name, use in self.uses.items()
        }
        return {**found, "fused": np.sum([self.weights[name] * scores for name, scores in found.items()], axis=0)}

    def alarms(self, features: Features) -> list[bool]:
        """Whether each question is taken for one of another domain."""
        return [bool(score > self.threshold) for score in self.scores(features)["fused"]]

    def save(self, folder: Path) -> None:
        """Write `detector.safetensors` (float32 arrays) and `detector.json`, which holds the other's digest."""
        from safetensors.numpy import save_file

        arrays = {
            f"{n}.{key}": np.ascontiguousarray(v, np.float32) for n, s in self.states.items() for key, v in s.items()
        }
        save_file(arrays or {"none": np.zeros(1, np.float32)}, folder / ARRAYS)
        told = {
            "schema": 3,
            "uses": dict(self.uses),
            "weights": dict(self.weights),
            "middle": dict(self.middle),
            "spread": dict(self.spread),
            "threshold": self.threshold if math.isfinite(self.threshold) else None,
            "false_alarms": self.false_alarms,
            "delta": self.delta,
            "prefix": list(self.prefix),
            "calibrated_on": self.calibrated_on,
            "sha256": digest_file(folder / ARRAYS),
        }
        write_json(folder / JSON, told)

    @staticmethod
    def load(folder: Path) -> Fitted:
        """What `save` wrote.

        Raises:
            CorruptArtifact: the arrays are not those that were written with it, or it is of an older form.
            UserError: a file is missing, or names a component that is not there.
        """
        from safetensors.numpy import load_file

        told = read_json(folder / JSON)
        if told.get("schema") != 3:
            raise CorruptArtifact(f"{folder / JSON} has another form than this version writes: evaluate again")
        if digest_file(folder / ARRAYS) != told["sha256"]:
            raise CorruptArtifact(f"{folder / ARRAYS} is not the file that was written with {JSON}")
        arrays = {key: np.asarray(value, np.float64) for key, value in load_file(folder / ARRAYS).items()}
        states: dict[str, State] = {
            name: {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith(f"{name}.")}
            for name in told["uses"]
        }
        return Fitted(
            uses=told["uses"],
            states=states,
            weights=told["weights"],
            middle=told["middle"],
            spread=told["spread"],
            threshold=math.inf if told["threshold"] is None else float(told["threshold"]),
            false_alarms=told["false_alarms"],
            delta=told["delta"],
            prefix=tuple(told["prefix"]),
            calibrated_on=told["calibrated_on"],
        )


def build(use: Any) -> Detector:
    """The detector that `{use: NAME, ...}` describes."""
    detector: Detector = DETECTORS.build(use, where="evaluate.detector")
    return detector


def needs_base(uses: Any) -> bool:
    """Whether one of these detectors compares the expert with its base."""
    several = uses.values() if isinstance(uses, Mapping) else uses
    return any(getattr(build(use), "compares_with_base", False) for use in several)


def fit(
    seen: Features,
    general: Features,
    calibration: Features,
    *,
    uses: Sequence[Any] = USUAL,
    false_alarms: float = 0.05,
    delta: float = 0.05,
    prefix: Sequence[int] = (),
) -> Fitted:
    """Fit every detector, what each counts, and the threshold of their weighted sum.

    Args:
        seen: questions of training rows.
        general: texts of no domain.
        calibration: other questions of the domain, not among `seen`.
        uses: components, by name or with settings.
        false_alarms: share of the domain's questions that may be alarmed, in (0, 1).
        delta: share of calibrations in which more may be alarmed.
        prefix: see `features_of`.
    """
    named = {(use if isinstance(use, str) else use["use"]): use for use in uses}
    settings = {name: DETECTORS.settings(use, where="evaluate.detector") for name, use in named.items()}
    states = {name: build(use).fit(seen, general) for name, use in settings.items()}
    scores = {name: build(use).score(states[name], calibration) for name, use in settings.items()}
    scales = {name: middle_and_spread(values) for name, values in scores.items()}
    rehearsed = rehearse(seen, general, partial(_scorers, settings))
    learnt = weights(rehearsed) if rehearsed else np.full(len(settings), 1 / len(settings))
    fused = np.sum([w * on_scale(scores[n], *scales[n]) for w, n in zip(learnt, settings, strict=True)], axis=0)
    return Fitted(
        uses=settings,
        states=states,
        weights={name: float(weight) for name, weight in zip(settings, learnt, strict=True)},
        middle={name: scale[0] for name, scale in scales.items()},
        spread={name: scale[1] for name, scale in scales.items()},
        threshold=sure_threshold(fused, false_alarms, delta),
        false_alarms=false_alarms,
        delta=delta,
        prefix=tuple(prefix),
        calibrated_on=len(calibration),
    )


def _scorers(settings: Mapping[str, Any], seen: Features, general: Features) -> dict[str, Any]:
    """Each detector fitted, as a function of questions."""
    built = {name: build(use) for name, use in settings.items()}
    return {name: partial(one.score, one.fit(seen, general)) for name, one in built.items()}


def auroc(inside_N: Floats, outside_M: Floats) -> float:
    """Chance that a question from outside scores higher than one from inside, ties counted half; NaN for none."""
    from scipy.stats import rankdata

    if not len(inside_N) or not len(outside_M):
        return math.nan
    ranks = rankdata(np.concatenate([inside_N, outside_M]))
    won = ranks[len(inside_N) :].sum() - len(outside_M) * (len(outside_M) + 1) / 2
    return float(won / (len(inside_N) * len(outside_M)))
