"""The nouns of this room: a chain of thought, what checks found in it, and what chains come to together.

They have a JSON form, so that chains are stored once and fused again without the model.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunesmith.core.types import Answer, Noun

Verdict = Literal["for", "against", "silent"]


class Finding(Noun):
    """What one check says of one chain.

    Fields:
        check: name of the check.
        verdict: evidence `for` the chain, `against` it, or `silent` where the check has nothing to go by.
        detail: what was found, for people: the equation and what it should have been.
        span: first and last character (exclusive) in `Chain.written` that it is about; None: the whole chain.
    """

    check: str
    verdict: Verdict
    detail: str = ""
    span: tuple[int, int] | None = None


class Chain(Noun):
    """One path of reasoning to one question.

    Fields:
        answer: what the model said: reasoning, text, tokens, why it stopped.
        source: the way of asking that made it (`zero_shot`, `few_shot`, a system's name): its record on held-out
            data is evidence.
        conclusion: its answer in canonical form (`equal`): chains with the same conclusion vote together. None: it came
            to none.
        unscored: why it has no say (`no-answer`, `loop`, `backend: timeout`); empty where it has. Never dropped.
        log_probability: of all its tokens, in nats; None where the backend does not tell.
        findings: what checks found.
    """

    answer: Answer
    source: str
    conclusion: str | None = None
    unscored: str = ""
    log_probability: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def written(self) -> str:
        """All that was written: the reasoning, a line break, the answer; the text alone where there is no reasoning."""
        return f"{self.answer.reasoning}\n{self.answer.text}" if self.answer.reasoning else self.answer.text

    @property
    def tokens(self) -> int:
        """Tokens that were generated."""
        return self.answer.usage.answer_tokens + self.answer.usage.reasoning_tokens


class Fused(Noun):
    """What chains come to together.

    Fields:
        conclusion: the likeliest answer in canonical form; None: no chain came to one.
        probability: that it is right, in [0, 1]; calibrated where the fusion was fitted on held-out data.
        posterior: conclusion -> its share; sums to at most 1, what is missing is left to answers that nobody gave.
        chosen: place of the chain whose words are given; None as for `conclusion`.
        detail: how it came about, JSON values: votes, weights.
    """

    conclusion: str | None
    probability: float
    posterior: dict[str, float]
    chosen: int | None
    detail: dict[str, Any] = Field(default_factory=dict)
