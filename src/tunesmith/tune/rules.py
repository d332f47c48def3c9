"""The written rule table: what `auto` means, with a reason and a source for every line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from tunesmith.core.errors import Problem
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.models.float8 import unusable
from tunesmith.models.nf4 import missing_library
from tunesmith.tune.spec import TuneSpec

STRATEGIES = Shelf("strategies", "tunesmith.tune.strategies")


class BaseShape(Protocol):
    """What the rules ask of a base model; `core.types.Base` has it."""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        ...

    @property
    def context(self) -> int:
        """Longest input in tokens."""
        ...


class Choice(NamedTuple):
    """One setting that was filled: its path under `tune`, value, why, and where the rule comes from."""

    name: str
    value: Any
    reason: str
    source: str


def resolve(spec: TuneSpec, base_shape: BaseShape, rows: int) -> tuple[TuneSpec, list[Choice]]:
    """`spec` with every `auto` filled, and the choices that were made.

    Args:
        spec: the section as the user wrote it.
        base_shape: the base model.
        rows: number of training rows.

    Raises:
        UserError: the strategy is unknown or its settings are wrong.
    """
    strategy = STRATEGIES.settings(spec.strategy, where="tune.strategy")
    choices = []
    filled: dict[str, Any] = {}
    for name, value in [*((f, getattr(spec, f)) for f in type(spec).model_fields), *_inner("strategy", strategy)]:
        if value == "auto" and name != "precision":
            choices.append(_choose(name, strategy, base_shape, rows))
            filled[name] = choices[-1].value
    inner = {name: filled.pop(f"strategy.{name}", value) for name, value in strategy.items()}
    values = {**{f: getattr(spec, f) for f in type(spec).model_fields}, **filled, "strategy": inner}
    return TuneSpec.model_validate(values), choices


def _inner(prefix: str, settings: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f"{prefix}.{name}", value) for name, value in settings.items()]


def _choose(name: str, strategy: dict[str, Any], base_shape: BaseShape, rows: int) -> Choice:
    if name == "context_tokens":
        return Choice(name, base_shape.context, "the longest input the model was made for", "the model's config.json")
    for line in table():
        fits = base_shape.parameters <= line.get("parameters_at_most", base_shape.parameters)
        fits = fits and rows <= line.get("rows_at_most", rows)
        fits = fits and strategy["use"] in line.get("methods", [strategy["use"]])
        fits = fits and line.get("settings", {}).items() <= strategy.items()
        fits = fits and line.get("gpu", _has_gpu()) == _has_gpu()
        if line["name"] == name and fits:
            return Choice(name, line["value"], line["reason"], line["source"])
    raise LookupError(f"the rule table has no line for {name} of {strategy['use']}")


@cache
def _has_gpu() -> bool:
    from tunesmith.models.hardware import look

    return bool(look().gpus)


def problems(spec: TuneSpec) -> list[Problem]:
    """Everything that is wrong with strategy, objective and weighting of `spec`, phases included."""
    from tunesmith.tune.objective import WEIGHTINGS
    from tunesmith.tune.rewards import reward_problems
    from tunesmith.tune.tracking import tracker_problems

    found = STRATEGIES.problems(spec.strategy, where="tune.strategy") or _missing(spec)
    if spec.precision == "fp8" and (problem := unusable("tune.precision")):
        found.append(problem)
    found += WEIGHTINGS.problems(spec.weighting, where="tune.weighting")
    for number, use in enumerate(spec.track):
        found += tracker_problems(use, where=f"tune.track[{number}]")
    found += _terms(spec.objective, "tune.objective")
    for number, phase in enumerate(spec.phases):
        found += _terms(phase.objective or (), f"tune.phases[{number}].objective")
    return found + reward_problems(spec)


def _terms(uses: Sequence[Use], where: str) -> list[Problem]:
    from tunesmith.tune.objective import TERMS

    found = []
    for number, use in enumerate(uses):
        place = f"{where}[{number}]"
        weight = use.settings.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
            found.append(Problem("wrong-value", "a term's weight is a number above 0", "", f"{place}.weight"))
        settings = {name: value for name, value in use.model_dump().items() if name != "weight"}
        found += TERMS.problems(settings, where=place)
    return found


def misfit(error: ValueError) -> Problem:
    """What a strategy says when it refuses a model, as the user's to mend."""
    return Problem("strategy-does-not-fit", str(error), "see tune.strategy in docs/project-file.md", "tune.strategy")


def _missing(spec: TuneSpec) -> list[Problem]:
    """The library that 4-bit weights need, where it is not installed."""
    problem = missing_library() if STRATEGIES.get(spec.strategy.use).weight_format == "nf4" else None
    return [replace(problem, path="tune.strategy", value=spec.strategy.use)] if problem else []


@cache
def table() -> tuple[dict[str, Any], ...]:
    """The lines of the rule table, first match first.

    A line says the `name` of a setting and its `value`, `reason` and `source`. It holds for the strategies in `methods`
    with these `settings`, for models of `parameters_at_most`, for `rows_at_most`; for all where none is given.
    """
    return tuple(json.loads(files("tunesmith.tune").joinpath("rules.json").read_text(encoding="utf-8")))
