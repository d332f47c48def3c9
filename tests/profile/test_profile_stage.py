"""The stage `profile`: the section becomes the noun, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Profile, Target
from tunesmith.profile import stage
from tunesmith.profile.spec import ProfileSpec


def context(folder: Path) -> Context:
    def nothing_to_open(_: object) -> None:
        raise AssertionError("the profile asks no model")

    opener = nothing_to_open
    return Context(root=folder, out=folder, scratch=folder, events=Events(), seed=0, run="run-1", open=opener)  # type: ignore[arg-type]


def test_every_field_arrives(tmp_path: Path) -> None:
    spec = ProfileSpec.model_validate(
        {
            "problem": " Judge credit.\n",
            "labels": ["good", "bad"],
            "language": ["en", "zh"],
            "protect": ["sex"],
            "terms": ["savings"],
            "targets": [
                {"measure": "f1", "at_least": 0.6, "surely": True},
                {"measure": "f1", "at_least": 0.5, "slice": "sex=female"},
                {"measure": "latency_p95_ms", "at_most": 800, "slice": "all"},
            ],
            "budget": {"train_minutes": 30, "memory_gb": 16, "latency_p95_ms": 900},
            "licences": ["Apache-2.0"],
        }
    )
    assert stage.check(spec, tmp_path) == []
    assert stage.run(spec, context=context(tmp_path)) == Profile(
        problem="Judge credit.",
        task="classification",
        labels=("good", "bad"),
        languages=("en", "zh"),
        protect=("sex",),
        terms=("savings",),
        targets=(
            Target(measure="f1", at_least=0.6, surely=True),
            Target(measure="f1", at_least=0.5, slice="sex=female"),
            Target(measure="latency_p95_ms", at_most=800.0),
        ),
        train_minutes=30.0,
        memory_gb=16.0,
        latency_p95_ms=900.0,
        licences=("Apache-2.0",),
    )


def test_what_is_left_out_is_no_limit(tmp_path: Path) -> None:
    made = stage.run(ProfileSpec(), context=context(tmp_path))
    assert made == Profile(problem="", task="generation")


def test_a_section_that_is_not_well_formed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too-few-labels"):
        stage.run(ProfileSpec(task="classification"), context=context(tmp_path))
    assert list(tmp_path.iterdir()) == []
