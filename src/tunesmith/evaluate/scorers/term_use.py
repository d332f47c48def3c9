"""Scorer: are the domain terms that the answer uses the right ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.core.types import Answer, Example, Score
from tunesmith.evaluate.scorers._unscored import incomparable
from tunesmith.evaluate.scorers.terminology import found_terms


@dataclass(frozen=True)
class TermUse:
    """Of the domain terms that the answer uses, the share that is used rightly.

    A term is right where the reference or the question uses it too. A wording that the house does not want counts as a
    wrong use. Terms that are missing do not count here: that is what `terminology` measures.

    Args:
        terms: the domain's vocabulary.
        instead: wording that is not wanted -> the term to use instead.
    """

    terms: tuple[str, ...] = ()
    instead: dict[str, str] = field(default_factory=dict)

    def score(self, example: Example, answer: Answer) -> Score:
        """Share in [0, 1]; unscored where the answerer failed, or no term and no unwanted wording is used."""
        if (no := incomparable(example, answer)) is not None:
            return no
        if not self.terms and not self.instead:
            return Score(value=None, unscored="no-terms-in-profile")
        used = found_terms(answer.text, self.terms)
        unwanted = found_terms(answer.text, list(self.instead))
        if not used and not unwanted:
            return Score(value=None, unscored="no-terms-in-answer")
        known = "\n".join([example.reference, *(message.content for message in example.prompt)])
        right = found_terms(known, used)
        return Score(value=len(right) / (len(used) + len(unwanted)))
