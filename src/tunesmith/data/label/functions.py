"""Labelling functions: keywords, regular expressions, Python functions, predictions. Each says a label or nothing.

Keywords and expressions stand in a rules file; Python functions in a file that the user names on the command line and
nowhere else, because that file is run.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.shelf import problems_of
from tunesmith.core.types import Example
from tunesmith.data.label.predictions import Prediction
from tunesmith.data.label.rows import shown
from tunesmith.models.timelimit import time_limit

Said = str | None
"""A label, or None: the function has nothing to say."""

_SECONDS = 1.0
_MOST_FAILURES = 20
_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class LabellingFunction:
    """A named function of a row."""

    name: str
    says: Callable[[Example], Said]


@dataclass(frozen=True)
class Votes:
    """What functions said.

    Fields:
        names: of the functions, M of them.
        rows: ids of the rows, N of them.
        votes_NM: index of the label, -1 where a function had nothing to say.
        failures: function -> what went wrong -> rows; such a row counts as nothing said.
        stopped: functions that failed on 20 rows and were not asked any more.
    """

    names: tuple[str, ...]
    rows: tuple[str, ...]
    votes_NM: NDArray[np.int64]
    failures: Mapping[str, Mapping[str, int]]
    stopped: tuple[str, ...]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    label: str


class Keyword(_Rule):
    """Says `label` where one of the words stands in the text: whole words, in any case; Chinese anywhere."""

    keyword: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)

    def bound(self) -> Callable[[Example], Said]:
        """The function."""
        parts = [re.escape(w) if _CHINESE.search(w) else rf"(?<!\w){re.escape(w)}(?!\w)" for w in self.keyword]
        pattern = re.compile("|".join(parts), re.IGNORECASE)
        return lambda example: self.label if pattern.search(shown(example)) else None


class Regex(_Rule):
    """Says `label` where the expression is found; the search ends after `seconds`, whatever the expression is."""

    regex: str = Field(min_length=1, max_length=2000)
    seconds: float = Field(0.1, gt=0.0, le=10.0)

    def bound(self) -> Callable[[Example], Said]:
        """The function; ValueError: no regular expression."""
        import regex

        try:
            with time_limit(_SECONDS):
                pattern = regex.compile(self.regex)
        except (regex.error, TimeoutError, RecursionError, OverflowError, MemoryError) as error:
            raise ValueError(str(error) or type(error).__name__) from None
        return lambda example: self.label if pattern.search(shown(example), timeout=self.seconds) else None


def read_rules(path: Path, labels: Sequence[str]) -> list[LabellingFunction]:
    """The functions of a rules file: a YAML (or JSON) list of keyword and regex rules.

    Raises:
        UserError: everything that is wrong with the file.
    """
    content = _yaml(path)
    if not isinstance(content, list) or not content:
        raise UserError(Problem("wrong-format", "a list of rules is expected", _EXAMPLE, str(path)))
    problems, made = list[Problem](), list[LabellingFunction]()
    for i, item in enumerate(content):
        where = f"{path}: [{i}]"
        kind = Regex if isinstance(item, dict) and "regex" in item else Keyword
        if isinstance(item, dict) and isinstance(item.get("keyword"), str):
            item = {**item, "keyword": [item["keyword"]]}
        try:
            rule = kind.model_validate(item)
            if rule.label not in labels:
                hint = did_you_mean(rule.label, labels)
                problems.append(Problem("unknown-label", f"'{rule.label}' is not one of the labels", hint, where))
            made.append(LabellingFunction(rule.name, rule.bound()))
        except ValidationError as error:
            problems += problems_of(error, where, list(kind.model_fields))
        except ValueError as error:
            problems.append(Problem("broken-regex", f"no regular expression: {error}", path=where))
    if problems:
        raise UserError(problems)
    return made


_EXAMPLE = "e.g. [{name: no-effect, keyword: [no effect], label: 'no'}, {name: p, regex: 'p ?< ?0', label: 'yes'}]"


def _yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path))) from None
    except (OSError, UnicodeDecodeError, YAMLError, ValueError, RecursionError) as error:
        message = f"not readable as YAML: {shorten(' '.join(str(error).split()), width=200)}"
        raise UserError(Problem("broken-yaml", message, _EXAMPLE, str(path))) from None


def import_functions(path: Path) -> list[LabellingFunction]:
    """The public functions of a Python file, in the order in which they stand there. THE FILE IS RUN.

    Each is given a mapping with `id`, `text`, `messages` and `attributes`, and returns a label or None.

    Raises:
        UserError: the file is missing, cannot be run (the error and its line are told), or has no such function.
    """
    if not path.is_file():
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path)))
    spec = importlib.util.spec_from_file_location("tunesmith_labelling_functions", path)
    if spec is None or spec.loader is None:
        raise UserError(Problem("wrong-format", "a Python file is expected", "name it SOMETHING.py", str(path)))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code raises is theirs to mend
        line = getattr(error, "lineno", None) or _line_in(error, path)
        message = f"{type(error).__name__}: {shorten(str(error), width=200)}"
        raise UserError(Problem("broken-functions", message, path=str(path), line=line)) from None
    found = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    if not found:
        hint = "def my_rule(row): return 'yes' if 'increase' in row['text'] else None"
        raise UserError(Problem("no-functions", "the file defines no public function", hint, str(path)))
    return [LabellingFunction(name, _limited(value)) for name, value in found.items()]


def of_predictions(name: str, predictions: Mapping[str, Prediction]) -> LabellingFunction:
    """A model's labels as one more function."""
    return LabellingFunction(name, lambda example: p.label if (p := predictions.get(example.id)) else None)


def _limited(function: Callable[[dict[str, Any]], Any]) -> Callable[[Example], Said]:
    def says(example: Example) -> Said:
        row = {
            "id": example.id,
            "text": shown(example),
            "messages": [turn.model_dump(mode="json") for turn in example.prompt],
            "attributes": dict(example.attributes),
        }
        with time_limit(_SECONDS):
            said: Said = function(row)
        return said

    return says


def _line_in(error: BaseException, path: Path) -> int | None:
    """The last line of `path` that an error passed through."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    return line


@dataclass
class _Asked:
    """What went wrong with one function so far."""

    failures: Counter[str] = field(default_factory=Counter)

    def ask(self, function: LabellingFunction, example: Example, labels: Mapping[str, int]) -> int:
        if self.failures.total() >= _MOST_FAILURES:
            return -1
        try:
            said = function.says(example)
        except TimeoutError:
            self.failures["took too long"] += 1
            return -1
        except Exception as error:  # a rule that fails on a row has nothing to say of it; it is counted and told
            self.failures[f"{type(error).__name__}: {shorten(str(error), width=80)}"] += 1
            return -1
        if said is None:
            return -1
        if said not in labels:
            self.failures[f"said {shorten(said, width=40)}, which is not one of the labels"] += 1
            return -1
        return labels[said]


def apply(functions: Sequence[LabellingFunction], examples: Mapping[str, Example], labels: Sequence[str]) -> Votes:
    """What every function says of every row.

    Raises:
        UserError: two functions have one name, or there is none.
    """
    names = [function.name for function in functions]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise UserError(Problem("same-name", f"several functions are called {', '.join(twice)}", "rename them"))
    if not names:
        raise UserError(
            Problem("no-functions", "no labelling function was given", "--rules, --functions, --predictions")
        )
    place: dict[Any, int] = {label: k for k, label in enumerate(labels)}
    asked = {name: _Asked() for name in names}
    votes_NM = np.full((len(examples), len(functions)), -1, dtype=np.int64)
    for n, example in enumerate(examples.values()):
        for m, function in enumerate(functions):
            votes_NM[n, m] = asked[function.name].ask(function, example, place)
    failures = {name: dict(one.failures) for name, one in asked.items() if one.failures}
    stopped = tuple(name for name, one in asked.items() if one.failures.total() >= _MOST_FAILURES)
    return Votes(tuple(names), tuple(examples), votes_NM, failures, stopped)
