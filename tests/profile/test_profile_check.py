"""The profile's checks: every target says something, and something in the file measures it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from tunesmith.core.errors import Problem
from tunesmith.profile.check import measurable, well_formed
from tunesmith.profile.spec import BudgetSpec, ProfileSpec, TargetSpec


class Info(NamedTuple):
    low: float | None = 0.0
    high: float | None = 1.0


MEASURES = {
    "accuracy": Info(),
    "f1": Info(),
    "retention": Info(0.0, None),
    "latency_p95_ms": Info(0.0, None),
    "foreign": Info(None, None),
    "below_five": Info(None, 5.0),
}


def profile(*targets: dict[str, Any], **fields: Any) -> ProfileSpec:
    return ProfileSpec.model_validate({"labels": ["good", "bad"], "targets": list(targets), **fields})


def told(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in problems]


def asked(*targets: dict[str, Any], attributes: Sequence[str] = ("sex",), **fields: Any) -> list[tuple[str, str]]:
    return told(measurable(profile(*targets, **fields), MEASURES, attributes=attributes, unsliced=["retention"]))


# -- the section by itself ----------------------------------------------------------------------------


def test_the_design_example_is_well_formed() -> None:
    spec = profile(
        {"measure": "f1", "at_least": 0.80},
        {"measure": "retention", "at_least": 0.95},
        {"measure": "equalized_odds_difference", "at_most": 0.10},
        problem="Decide consumer credit applications and give the reasons.",
        language="en",
        protect=["sex", "age_group"],
        budget={"train_minutes": 30, "memory_gb": 16, "latency_p95_ms": 800},
    )
    assert well_formed(spec) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "generation"),
        ({"labels": ["a", "b"]}, "classification"),
        ({"labels": ["a", "b"], "task": "generation"}, "generation"),
        ({"task": "classification"}, "classification"),
    ],
)
def test_the_task_follows_from_the_labels_where_it_is_left_out(fields: dict[str, Any], expected: str) -> None:
    assert ProfileSpec.model_validate(fields).kind_of_task == expected


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        ({"labels": [], "task": "classification"}, "too-few-labels", "profile.labels"),
        ({"labels": ["good"]}, "too-few-labels", "profile.labels"),
        ({"labels": ["good", "bad", "good"]}, "double-label", "profile.labels[2]"),
        ({"labels": ["good", "Good"]}, "double-label", "profile.labels[1]"),
        ({"labels": ["very good", " very  good"]}, "double-label", "profile.labels[1]"),
        ({"labels": ["STRASSE", "straße"]}, "double-label", "profile.labels[1]"),
        ({"labels": ["good", "bad", "  "]}, "empty-label", "profile.labels[2]"),
        ({"protect": ["sex", "sex"]}, "double-entry", "profile.protect"),
        ({"terms": [""]}, "empty-entry", "profile.terms"),
        ({"language": "English please"}, "bad-language", "profile.language"),
        ({"language": ["en", "中文"]}, "bad-language", "profile.language"),
        ({"language": []}, "no-language", "profile.language"),
    ],
)
def test_what_is_wrong_with_the_words(fields: dict[str, Any], code: str, place: str) -> None:
    assert told(well_formed(profile(**fields))) == [(code, place)]


@pytest.mark.parametrize("language", ["en", "zh-CN", "zh-Hans-CN", "pt-BR", ["en", "zh"]])
def test_language_codes(language: Any) -> None:
    assert well_formed(profile(language=language)) == []


@pytest.mark.parametrize(
    ("target", "code", "place"),
    [
        ({}, "target-threshold", "profile.targets[0]"),
        ({"at_least": 0.1, "at_most": 0.2}, "target-threshold", "profile.targets[0]"),
        ({"at_least": math.nan}, "wrong-value", "profile.targets[0].at_least"),
        ({"at_most": math.inf}, "wrong-value", "profile.targets[0].at_most"),
        ({"at_least": 0.5, "slice": "female"}, "bad-slice", "profile.targets[0].slice"),
        ({"at_least": 0.5, "slice": "=female"}, "bad-slice", "profile.targets[0].slice"),
        ({"at_least": 0.5, "slice": "sex="}, "bad-slice", "profile.targets[0].slice"),
    ],
)
def test_what_is_wrong_with_a_target(target: dict[str, Any], code: str, place: str) -> None:
    assert told(well_formed(profile({"measure": "accuracy", **target}))) == [(code, place)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"at_least": 0.8}, {"at_least": 0.8}, ["double-target"]),
        ({"at_least": 0.8}, {"at_least": 0.9}, ["double-target"]),
        ({"at_least": 0.8}, {"at_most": 0.7}, ["contradicting-targets"]),
        ({"at_most": 0.7}, {"at_least": 0.8}, ["contradicting-targets"]),
        ({"at_least": 0.7}, {"at_most": 0.8}, []),
        ({"at_least": 0.8}, {"at_most": 0.8}, []),
        ({"at_least": 0.8}, {"at_least": 0.9, "slice": "sex=f"}, []),
        ({"at_least": 0.8, "slice": "sex=f"}, {"at_least": 0.9, "slice": "sex=m"}, []),
        ({"at_least": 0.8}, {"at_least": 0.9, "slice": "all"}, ["double-target"]),
    ],
)
def test_two_targets_on_one_measure(one: dict[str, Any], other: dict[str, Any], expected: list[str]) -> None:
    problems = well_formed(profile({"measure": "f1", **one}, {"measure": "f1", **other}))
    assert told(problems) == [(code, "profile.targets[1]") for code in expected]


def test_all_problems_are_told_at_once() -> None:
    spec = profile({"measure": "f1"}, labels=["good"], language="?", protect=["a", "a"])
    assert [code for code, _ in told(well_formed(spec))] == [
        "too-few-labels",
        "double-entry",
        "bad-language",
        "target-threshold",
    ]


def test_unknown_keys_and_wrong_types_are_refused() -> None:
    for given in ({"goal": "x"}, {"budget": {"hours": 1}}, {"budget": {"memory_gb": -1}}, {"labels": 3}):
        with pytest.raises(ValidationError):
            ProfileSpec.model_validate(given)


def test_every_setting_is_described() -> None:
    for section in (ProfileSpec, TargetSpec, BudgetSpec):
        assert [name for name, field in section.model_fields.items() if not field.description] == []


# -- against what will be measured ---------------------------------------------------------------------


def test_targets_that_can_be_measured() -> None:
    assert (
        asked(
            {"measure": "accuracy", "at_least": 0.75},
            {"measure": "accuracy", "at_least": 1, "slice": "sex=female"},
            {"measure": "f1", "at_least": 0, "slice": "label=good"},
            {"measure": "retention", "at_least": 1.2},
            {"measure": "latency_p95_ms", "at_most": 800, "slice": "all"},
            {"measure": "foreign", "at_least": -5},
            protect=["sex"],
        )
        == []
    )


@pytest.mark.parametrize(
    ("target", "code", "place"),
    [
        ({"measure": "acuracy", "at_least": 0.5}, "unmeasured-target", "profile.targets[0].measure"),
        ({"measure": "accuracy", "at_least": 75}, "target-out-of-range", "profile.targets[0].at_least"),
        ({"measure": "accuracy", "at_most": -0.1}, "target-out-of-range", "profile.targets[0].at_most"),
        ({"measure": "accuracy", "at_least": 101}, "target-out-of-range", "profile.targets[0].at_least"),
        ({"measure": "retention", "at_least": -1}, "target-out-of-range", "profile.targets[0].at_least"),
        ({"measure": "below_five", "at_least": 6}, "target-out-of-range", "profile.targets[0].at_least"),
        ({"measure": "f1", "at_least": 0.5, "slice": "gender=f"}, "unknown-attribute", "profile.targets[0].slice"),
        ({"measure": "f1", "at_least": 0.5, "slice": "label=god"}, "unknown-label", "profile.targets[0].slice"),
        ({"measure": "retention", "at_least": 0.9, "slice": "sex=f"}, "unsliced-measure", "profile.targets[0].slice"),
    ],
)
def test_targets_that_cannot_be_measured(target: dict[str, Any], code: str, place: str) -> None:
    assert asked(target) == [(code, place)]


def test_the_remedy_names_the_nearest_measure_and_the_share_that_was_meant() -> None:
    spec = profile({"measure": "acuracy", "at_least": 0.5}, {"measure": "accuracy", "at_least": 75})
    unknown, percent = measurable(spec, MEASURES, attributes=[])
    assert unknown.hint == "did you mean 'accuracy'?"
    assert percent.hint == "for 75 % write at_least: 0.75"


def test_a_protected_attribute_that_no_source_gives() -> None:
    assert asked(protect=["sex", "age"]) == [("unknown-attribute", "profile.protect[1]")]
    (problem,) = measurable(profile(protect=["age"]), MEASURES, attributes=[])
    assert problem.hint == "name its column there: attributes: [age]"


def test_label_is_an_attribute_only_where_there_are_labels() -> None:
    target = {"measure": "f1", "at_least": 0.5, "slice": "label=good"}
    assert asked(target, labels=[]) == [("unknown-attribute", "profile.targets[0].slice")]
