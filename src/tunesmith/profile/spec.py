"""The section `profile:` of the project file: the business goal, in words and in numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.core.spec import Section


class TargetSpec(Section):
    """One number that the expert must reach. Exactly one of `at_least` and `at_most` is given."""

    measure: str = Field(
        description="name of the measure: accuracy, f1, valid_output, retention, ... (tunesmith list shows more)"
    )
    at_least: float | None = Field(default=None, description="the measure must be this or more; shares lie in [0, 1]")
    at_most: float | None = Field(default=None, description="the measure must be this or less; shares lie in [0, 1]")
    slice: str | None = Field(
        default=None, description="only the test rows with this attribute, as attribute=value; empty: all test rows"
    )
    surely: bool = Field(
        default=False, description="the whole confidence interval must clear the threshold, not only the point value"
    )


class BudgetSpec(Section):
    """What training and answering may cost; a limit that is left out is no limit."""

    train_minutes: float | None = Field(default=None, gt=0, description="wall time of training, in minutes")
    memory_gb: float | None = Field(default=None, gt=0, description="memory of training, in GB (10^9 bytes)")
    latency_p95_ms: float | None = Field(
        default=None, gt=0, description="time that 95 of 100 answers stay under, in milliseconds"
    )


class ProfileSpec(Section):
    """The business goal: what the expert is for, what it must reach, whom it must not treat worse."""

    problem: str = Field(default="", description="what the expert is for, in your words")
    task: Literal["classification", "generation"] | None = Field(
        default=None,
        description="classification: every answer is one of `labels`; generation: free text. "
        "Left out: classification where labels are given, else generation",
    )
    labels: tuple[str, ...] = Field(default=(), description="the closed set of answers, in the order they are shown")
    language: str | tuple[str, ...] = Field(
        default="en",
        description="language of the questions and answers as a BCP 47 code (en, zh-CN), or a list of them",
    )
    protect: tuple[str, ...] = Field(
        default=(), description="attributes whose groups must be treated alike (sex, age_group)"
    )
    terms: tuple[str, ...] = Field(
        default=(), description="words of the domain that answers should use, for terminology coverage"
    )
    targets: tuple[TargetSpec, ...] = Field(
        default=(), description="what must be reached; gates G3 and G4 decide by it"
    )
    budget: BudgetSpec = Field(default=BudgetSpec(), description="what training and answering may cost")
    licences: tuple[str, ...] = Field(
        default=(), description="licences that are accepted for a base model (SPDX ids); empty: any known one"
    )

    @property
    def kind_of_task(self) -> Literal["classification", "generation"]:
        """The task, or what follows from the labels where it is left out."""
        return self.task or ("classification" if self.labels else "generation")

    @property
    def languages(self) -> tuple[str, ...]:
        """The language or languages as a tuple."""
        return (self.language,) if isinstance(self.language, str) else self.language
