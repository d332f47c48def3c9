"""Scorer: does the answer cite the sources that the reference cites."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable

_MARK = re.compile(r"[\[【]\s*([\w.:-]+(?:\s*[,;，；、]\s*[\w.:-]+)*)\s*[\]】]")


@dataclass(frozen=True)
class Citation:
    """F1 of the sources that the answer cites against those of the reference.

    A citation is a name in square brackets: `[2]`, `[doc-7]`, `[1, 3]`, `【4】`; each source counts once. A source that
    the reference does not cite, an invented one among them, lowers precision; one that is left out lowers recall.
    """

    def score(self, example: Example, answer: Answer) -> Score:
        """F1 in [0, 1]; unscored where the answerer failed, or the reference cites nothing."""
        if (no := incomparable(example, answer)) is not None:
            return no
        wanted, found = cited(example.reference), cited(answer.text)
        if not wanted:
            return Score(value=None, unscored="no-citation-in-reference")
        return Score(value=2 * len(wanted & found) / (len(wanted) + len(found)))


def cited(text: str) -> set[str]:
    """The sources that stand in square brackets, case folded."""
    return {name.strip().casefold() for mark in _MARK.findall(text) for name in re.split(r"[,;，；、]", mark)}
