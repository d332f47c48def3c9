"""The stage `profile`: from the section of the project file to the Profile that every gate decides by."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context
from tunesmith.core.types import Profile, Target
from tunesmith.profile.check import well_formed
from tunesmith.profile.spec import ProfileSpec, TargetSpec

NAME = "profile"
VERSION = "1"


def check(spec: ProfileSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section by itself; `check.measurable` looks at what surrounds it."""
    return well_formed(spec)


def run(spec: ProfileSpec, *, context: Context) -> Profile:
    """The profile, written before training; it has no files.

    Raises:
        UserError: the section is not well formed.
    """
    if problems := well_formed(spec):
        raise UserError(problems)
    return Profile(
        problem=spec.problem.strip(),
        task=spec.kind_of_task,
        labels=spec.labels,
        languages=spec.languages,
        protect=spec.protect,
        terms=spec.terms,
        targets=tuple(_target(target) for target in spec.targets),
        train_minutes=spec.budget.train_minutes,
        memory_gb=spec.budget.memory_gb,
        latency_p95_ms=spec.budget.latency_p95_ms,
        licences=spec.licences,
    )


def _target(spec: TargetSpec) -> Target:
    fields = spec.model_dump()
    return Target(**{**fields, "slice": None if spec.slice == "all" else spec.slice})
