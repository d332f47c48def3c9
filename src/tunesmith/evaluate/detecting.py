"""Is this question of the domain at all? Detectors fitted on the snapshot, fused, held to a rate of false alarms.

The fused score is the mean of the detectors' scores, each put on the scale of the calibration questions (median and
spread). The threshold is conformal: of new questions of the domain at most the chosen share is alarmed, on average
over calibrations, whatever the scores look like (Vovk et al. 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ids import digest_file
from tunesmith.evaluate.detectors._detector import Detector, State
from tunesmith.evaluate.safety_spec import DETECTORS
from tunesmith.models.features import Features, Floats

USUAL = ("neighbours",)
"""What is taken where nothing else is asked for: it told most on three data sets (docs/lab.md)."""

JSON, ARRAYS = "detector.json", "detector.safetensors"


@dataclass(frozen=True)
class Fitted:
    """Detectors that know a domain.

    Args:
        uses: name -> component as settings, with `use`.
        states: name -> what it learnt.
        middle, spread: name -> median of its scores on the calibration questions, and their spread (1.4826 MAD).
        threshold: fused score from which a question is alarmed; infinite where too few questions calibrate the rate.
        false_alarms: the chosen rate.
        prefix: tokens that all questions of the domain begin with.
        calibrated_on: number of calibration questions.
    """

    uses: Mapping[str, Any]
    states: Mapping[str, State]
    middle: Mapping[str, float]
    spread: Mapping[str, float]
    threshold: float
    false_alarms: float
    prefix: tuple[int, ...]
    calibrated_on: int

    def scores(self, features: Features) -> dict[str, Floats]:
        """Each detector's scores on the common scale, and `fused`, their mean; [N] each."""
        found = {
            name: (build(use).score(self.states[name], features) - self.middle[name]) / self.spread[name]
            for name, use in self.uses.items()
        }
        return {**found, "fused": np.mean(list(found.values()), axis=0)}

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
            "schema": 1,
            "uses": dict(self.uses),
            "middle": dict(self.middle),
            "spread": dict(self.spread),
            "threshold": self.threshold if math.isfinite(self.threshold) else None,
            "false_alarms": self.false_alarms,
            "prefix": list(self.prefix),
            "calibrated_on": self.calibrated_on,
            "sha256": digest_file(folder / ARRAYS),
        }
        write_json(folder / JSON, told)

    @staticmethod
    def load(folder: Path) -> Fitted:
        """What `save` wrote.

        Raises:
            CorruptArtifact: the arrays are not those that were written with it.
            UserError: a file is missing, or names a component that is not there.
        """
        from safetensors.numpy import load_file

        told = read_json(folder / JSON)
        if digest_file(folder / ARRAYS) != told["sha256"]:
            raise CorruptArtifact(f"{folder / ARRAYS} is not the file that was written with {JSON}")
        arrays = {key: np.asarray(value, np.float64) for key, value in load_file(folder / ARRAYS).items()}
        states: dict[str, State] = {
            name: {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith(f"{name}.")}
            for name in told["uses"]
        }
        threshold = math.inf if told["threshold"] is None else float(told["threshold"])
        return Fitted(
            uses=told["uses"],
            states=states,
            middle=told["middle"],
            spread=told["spread"],
            threshold=threshold,
            false_alarms=told["false_alarms"],
            prefix=tuple(told["prefix"]),
            calibrated_on=told["calibrated_on"],
        )


def build(use: Any) -> Detector:
    """The detector that `{use: NAME, ...}` describes."""
    detector: Detector = DETECTORS.build(use, where="evaluate.detector")
    return detector


def fit(
    seen: Features,
    general: Features,
    calibration: Features,
    *,
    uses: Sequence[Any] = USUAL,
    false_alarms: float = 0.05,
    prefix: Sequence[int] = (),
) -> Fitted:
    """Fit every detector and the threshold of their mean.

    Args:
        seen: questions of training rows.
        general: texts of no domain.
        calibration: other questions of the domain, not among `seen`.
        uses: components, by name or with settings.
        false_alarms: share of the domain's questions that may be alarmed, in (0, 1).
        prefix: see `features_of`.
    """
    named = {(use if isinstance(use, str) else use["use"]): use for use in uses}
    settings = {name: DETECTORS.settings(use, where="evaluate.detector") for name, use in named.items()}
    states = {name: build(use).fit(seen, general) for name, use in settings.items()}
    raw = {name: build(use).score(states[name], calibration) for name, use in settings.items()}
    middle = {name: float(np.median(scores)) for name, scores in raw.items()}
    spread = {name: _spread(scores) for name, scores in raw.items()}
    fused = np.mean([(raw[name] - middle[name]) / spread[name] for name in settings], axis=0)
    threshold = conformal_threshold(fused, false_alarms)
    return Fitted(settings, states, middle, spread, threshold, false_alarms, tuple(prefix), len(calibration))


def conformal_threshold(scores_N: Floats, rate: float) -> float:
    """The smallest threshold above which a new exchangeable score falls with a chance of at most `rate`.

    It is the ceil((N + 1)(1 - rate))-th smallest score; infinite where N is too small for the rate.
    """
    place = math.ceil((len(scores_N) + 1) * (1 - rate))
    return float(np.sort(scores_N)[place - 1]) if place <= len(scores_N) else math.inf


def auroc(inside_N: Floats, outside_M: Floats) -> float:
    """Chance that a question from outside scores higher than one from inside, ties counted half; NaN for none."""
    from scipy.stats import rankdata

    if not len(inside_N) or not len(outside_M):
        return math.nan
    ranks = rankdata(np.concatenate([inside_N, outside_M]))
    won = ranks[len(inside_N) :].sum() - len(outside_M) * (len(outside_M) + 1) / 2
    return float(won / (len(inside_N) * len(outside_M)))


def _spread(scores_N: Floats) -> float:
    """1.4826 times the median absolute deviation; the standard deviation where that is zero, 1 where all are equal."""
    mad = 1.4826 * float(np.median(np.abs(scores_N - np.median(scores_N))))
    return mad or float(scores_N.std()) or 1.0
