"""What can be wrong with a profile: a target that says nothing, contradicts another, or that nothing will measure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Protocol

from tunesmith.core.errors import Problem, did_you_mean, shorten
from tunesmith.profile.spec import ProfileSpec, TargetSpec

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_LABEL = "label"
"""The attribute that every row of a classification has: its right answer."""


class Range(Protocol):
    """What `measurable` must know of a measure: the least and the greatest value it can have; None: no limit."""

    @property
    def low(self) -> float | None:
        """Least possible value."""
        ...

    @property
    def high(self) -> float | None:
        """Greatest possible value."""
        ...


def well_formed(spec: ProfileSpec) -> list[Problem]:
    """Everything that is wrong with the section by itself, without knowing what will be measured."""
    return [*_task_problems(spec), *_list_problems(spec), *_language_problems(spec), *_target_problems(spec.targets)]


def measurable(
    spec: ProfileSpec,
    measures: Mapping[str, Range],
    *,
    attributes: Collection[str],
    unsliced: Collection[str] = (),
    slices: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[Problem]:
    """Whether every target and every protected attribute can be measured by something in the project file.

    Args:
        spec: the section.
        measures: name -> range of every measure that the evaluation will make.
        attributes: names of the attributes that the data sources give to their rows.
        unsliced: measures that are made over all rows only.
        slices: measure -> slices of its own that it is taken over besides (`attack=typos`); no others.
    """
    found: list[Problem] = []
    for index, target in enumerate(spec.targets):
        place = f"profile.targets[{index}]"
        if target.measure not in measures:
            hint = did_you_mean(target.measure, measures)
            message = f"nothing in this file measures '{target.measure}'"
            found.append(Problem("unmeasured-target", message, hint, f"{place}.measure", value=target.measure))
            continue
        found += _range_problems(target, measures[target.measure], place)
        if own := slices.get(target.measure):
            found += _own_slice_problems(target, own, place)
            continue
        found += _slice_problems(target, spec.labels, attributes, place)
        if target.slice not in (None, "all") and target.measure in unsliced:
            message = f"'{target.measure}' is measured over all rows only, not over '{target.slice}'"
            found.append(Problem("unsliced-measure", message, "leave `slice` out", f"{place}.slice"))
    for index, name in enumerate(spec.protect):
        if name not in attributes:
            found.append(_unknown_attribute(name, attributes, f"profile.protect[{index}]"))
    return found


# -- the section by itself ------------------------------------------------------------------------------


def _task_problems(spec: ProfileSpec) -> Iterator[Problem]:
    if spec.kind_of_task == "classification" and len(spec.labels) < 2:
        message = f"classification needs at least two labels, found {len(spec.labels)}"
        hint = "list the answers: labels: [good, bad]; or write task: generation"
        yield Problem("too-few-labels", message, hint, "profile.labels")
    seen: dict[str, tuple[int, str]] = {}
    for index, label in enumerate(spec.labels):
        place, folded = f"profile.labels[{index}]", " ".join(label.split()).casefold()
        if not folded:
            yield Problem("empty-label", "a label is empty", "remove it", place, value=shorten(label))
        elif folded in seen:
            first, other = seen[folded]
            how = "stands twice" if other == label else f"differs from '{other}' only in case or spaces"
            message = f"the label '{label}' {how} (profile.labels[{first}])"
            yield Problem("double-label", message, "an answer could not be told apart: keep one", place, value=label)
        else:
            seen[folded] = (index, label)


def _list_problems(spec: ProfileSpec) -> Iterator[Problem]:
    for name in ("protect", "terms", "licences"):
        values: Sequence[str] = getattr(spec, name)
        for value, count in Counter(values).items():
            if not value.strip():
                yield Problem("empty-entry", f"an entry of `{name}` is empty", "remove it", f"profile.{name}")
            elif count > 1:
                message = f"'{value}' stands {count} times in `{name}`"
                yield Problem("double-entry", message, "keep one", f"profile.{name}", value=value)


def _language_problems(spec: ProfileSpec) -> Iterator[Problem]:
    if not spec.languages:
        yield Problem("no-language", "no language is given", "write language: en", "profile.language")
    for language in spec.languages:
        if not _LANGUAGE.fullmatch(language):
            message = f"'{shorten(language)}' is not a language code"
            hint = "write a BCP 47 code: en, zh, zh-CN, pt-BR"
            yield Problem("bad-language", message, hint, "profile.language", value=shorten(language))


def _target_problems(targets: Sequence[TargetSpec]) -> Iterator[Problem]:
    for index, target in enumerate(targets):
        given = [name for name in ("at_least", "at_most") if getattr(target, name) is not None]
        place = f"profile.targets[{index}]"
        if len(given) != 1:
            message = f"a target has exactly one of at_least and at_most, found {' and '.join(given) or 'neither'}"
            hint = "for a band write two targets" if given else "write at_least: 0.80"
            yield Problem("target-threshold", message, hint, place, value=target.measure)
        for name in given:
            if not math.isfinite(getattr(target, name)):
                yield Problem("wrong-value", "a threshold is a finite number", "", f"{place}.{name}")
        if target.slice is not None and target.slice != "all" and not all(target.slice.partition("=")):
            hint = "write slice: sex=female"
            message = f"a slice is written attribute=value, found '{shorten(target.slice)}'"
            yield Problem("bad-slice", message, hint, f"{place}.slice", value=shorten(target.slice))
    for (first, one), (second, other) in combinations(enumerate(targets), 2):
        if (one.measure, _rows(one)) == (other.measure, _rows(other)):
            yield from _pair_problems(one, other, f"profile.targets[{first}]", f"profile.targets[{second}]")


def _pair_problems(one: TargetSpec, other: TargetSpec, first: str, second: str) -> Iterator[Problem]:
    """Two targets on one measure and slice: the same side twice, or sides that no value can both satisfy."""
    for side in ("at_least", "at_most"):
        if None not in (getattr(one, side), getattr(other, side)):
            message = f"'{other.measure}' has a target with {side} twice (the other: {first})"
            yield Problem("double-target", message, "keep one", second, value=other.measure)
    for lower, upper in ((one, other), (other, one)):
        if lower.at_least is not None and upper.at_most is not None and lower.at_least > upper.at_most:
            message = (
                f"'{other.measure}' cannot be at least {lower.at_least:g} and at most {upper.at_most:g} (see {first})"
            )
            yield Problem("contradicting-targets", message, "correct one of the two", second, value=other.measure)


def _rows(target: TargetSpec) -> str:
    return target.slice or "all"


# -- against what will be measured ----------------------------------------------------------------------


def _range_problems(target: TargetSpec, allowed: Range, place: str) -> Iterator[Problem]:
    for side in ("at_least", "at_most"):
        value = getattr(target, side)
        if value is None or not math.isfinite(value):
            continue
        low, high = allowed.low, allowed.high
        if (low is None or value >= low) and (high is None or value <= high):
            continue
        percent = high == 1 and 1 < value <= 100
        hint = f"for {value:g} % write {side}: {value / 100:g}" if percent else f"give a number {_span(low, high)}"
        message = f"'{target.measure}' has values {_span(low, high)}, found {value:g}"
        yield Problem("target-out-of-range", message, hint, f"{place}.{side}", value=f"{value:g}")


def _span(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"of at least {low:g}" if low is not None else f"of at most {high:g}"


def _slice_problems(
    target: TargetSpec, labels: Sequence[str], attributes: Collection[str], place: str
) -> Iterator[Problem]:
    if target.slice is None or not all(target.slice.partition("=")):
        return
    name, _, value = target.slice.partition("=")
    if name == _LABEL and labels and name not in attributes:
        if value not in labels:
            message = f"there is no label '{shorten(value)}'"
            yield Problem("unknown-label", message, did_you_mean(value, labels), f"{place}.slice", value=target.slice)
    elif name not in attributes:
        yield _unknown_attribute(name, attributes, f"{place}.slice")


def _own_slice_problems(target: TargetSpec, own: Collection[str], place: str) -> Iterator[Problem]:
    """For a measure that has slices of its own: is it taken over this one?"""
    if target.slice in (None, "all", *own) or not all(str(target.slice).partition("=")):
        return
    message = f"'{target.measure}' is not measured over '{shorten(target.slice)}'"
    yield Problem(
        "unknown-slice", message, did_you_mean(str(target.slice), own), f"{place}.slice", value=shorten(target.slice)
    )


def _unknown_attribute(name: str, attributes: Collection[str], place: str) -> Problem:
    message = f"no data source gives its rows the attribute '{shorten(name)}'"
    hint = did_you_mean(name, attributes) if attributes else f"name its column there: attributes: [{name}]"
    return Problem("unknown-attribute", message, hint, place, value=shorten(name))
