"""A small head that says how likely a step is right: logistic regression over what can be read off a step.

Trained on labelled steps (by people, by a judge, or by how their chain ended: outcome supervision, Uesato et al. 2022,
arXiv:2211.14275), kept as JSON.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.protocols import Conversation
from tunesmith.reason.equations import equations
from tunesmith.reason.given import KNOWN, accounted, given_numbers
from tunesmith.reason.steps import Step, steps
from tunesmith.reason.tokens import tokens_of

WORDS = 256
_NUMERIC = ("holds", "rounded", "fails", "strange", "given", "numbers", "words", "place", "last", "question")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class StepHead:
    """Weights over `features`; `bias` is the log-odds of a step whose features are all zero."""

    weights: tuple[float, ...]
    bias: float

    @classmethod
    def fit(cls, features_NF: Sequence[Sequence[float]], right_N: Sequence[bool], *, strength: float = 0.1) -> StepHead:
        """Logistic regression with a ridge.

        Args:
            features_NF: of N steps, see `features`.
            right_N: whether each step is right; both must occur.
            strength: inverse of the ridge (scikit-learn's C).

        Raises:
            UserError: all steps have the same label.
        """
        from sklearn.linear_model import LogisticRegression

        if len(set(right_N)) < 2:
            hint = "give steps that are right and steps that are wrong"
            raise UserError(Problem("one-label", "all labelled steps have the same label", hint))
        model = LogisticRegression(C=strength, max_iter=500).fit(features_NF, right_N)
        return cls(tuple(float(weight) for weight in model.coef_[0]), float(model.intercept_[0]))

    def probability(self, features_F: Sequence[float]) -> float:
        """That the step is right, in (0, 1)."""
        odds = self.bias + math.fsum(weight * value for weight, value in zip(self.weights, features_F, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, {"head": "steps", "version": 1, "bias": self.bias, "weights": list(self.weights)})

    @classmethod
    def load(cls, path: Path) -> StepHead:
        """What `save` wrote.

        Raises:
            UserError: the file is missing, or holds no such head.
        """
        value: Any = read_json(path)
        weights = value.get("weights") if isinstance(value, dict) and value.get("version") == 1 else None
        numbers = isinstance(weights, list) and all(isinstance(weight, int | float) for weight in weights)
        if not numbers or weights is None or len(weights) != WORDS + len(_NUMERIC):
            hint = "train it anew with StepHead.fit"
            raise UserError(Problem("no-head", "this file holds no head over steps", hint, str(path)))
        return cls(tuple(float(weight) for weight in weights), float(value["bias"]))


def features(question: Conversation, written: str) -> list[tuple[Step, list[float]]]:
    """The steps of a chain, each with its features: counts in about [0, 1], and hashed words."""
    given = frozenset(given_numbers(question))
    asked = {word.lower() for message in question for word in _WORD.findall(message.content)}
    known = set(KNOWN | given)
    found = []
    all_steps = steps(written)
    for place, step in enumerate(all_steps):
        here = equations(step.text)
        known |= {value for equation in here for value in equation.right.values}
        numbers = [token.value for token in tokens_of(step.text) if token.value is not None]
        words = [word.lower() for word in _WORD.findall(step.text)]
        counts = [
            *(
                min(3, sum(equation.standing == name for equation in here)) / 3
                for name in ("holds", "rounded", "fails")
            ),
            min(3, sum(not accounted(value, frozenset(known)) for value in numbers)) / 3,
            len(given & set(numbers)) / max(1, len(given)),
            min(10, len(numbers)) / 10,
            min(50, len(words)) / 50,
            min(10, place) / 10,
            float(place == len(all_steps) - 1),
            sum(word in asked for word in words) / max(1, len(words)),
        ]
        found.append((step, [*counts, *_hashed(words)]))
    return found


def labelled(written: str, *, right: bool, worked: str) -> list[bool | None]:
    """Whether each step of a chain is right, told from its conclusion and a worked solution; None: not told.

    All steps of a chain with the right conclusion are right. Of another one the first step is wrong that has an
    equation that fails, or a result that the worked solution does not have; where there is none, the last. Steps before
    it are right if they have a result; what comes behind it is not told.

    Args:
        written: the chain.
        right: whether its conclusion is right.
        worked: a right solution of the same question, by steps.
    """
    each = [equations(step.text) for step in steps(written)]
    if right:
        return [True] * len(each)
    known = {value for equation in equations(worked) for value in equation.right.values}
    wrong = [
        n
        for n, some in enumerate(each)
        if any(one.standing == "fails" or one.right.values[0] not in known for one in some)
    ]
    first = wrong[0] if wrong else len(each) - 1
    return [False if n == first else True if n < first and some else None for n, some in enumerate(each)]


def _hashed(words: Sequence[str]) -> list[float]:
    """How often each of 256 classes of words occurs, signed by hash (Weinberger et al. 2009), of unit length."""
    counts = [0.0] * WORDS
    for word in words:
        code = zlib.crc32(word.encode("utf-8", "replace"))
        counts[code % WORDS] += 1.0 if code & 0x100000 else -1.0
    size = math.sqrt(math.fsum(count * count for count in counts))
    return [count / size for count in counts] if size else counts
