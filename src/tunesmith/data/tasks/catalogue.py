"""The catalogue of task types: data files, one a family, loaded and validated."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import DataKind, Noun

Language = Literal["en", "zh"]
Texts = dict[Language, str]
Form = Literal[
    "yes_no", "letter", "label", "number", "short", "long", "list", "code", "json", "table", "verse", "chain"
]
Given = Literal["options", "table", "turns", "tools", "image", "audio"]

UNKNOWN = "unknown"
_FOLDER = Path(__file__).parent / "catalogue"


class TaskType(Noun):
    """One kind of task.

    Fields:
        id: stable name in settings and attributes; family: what it belongs to.
        name, about: in English and Chinese; `about` is one line that says what is asked for.
        example: a question and its answer.
        scored_by: the scorer that fits its answers; `none` where only a person, a judge model or a test run can tell.
        kinds: how structured the sources of such rows are.
        sources: public collections that have this type.
        cues: language -> expression that is looked for in the question.
        answer_cues: the same, looked for in the answer.
        form: what its answers look like; empty: anything.
        given: what the question must carry.
        weight: added to the score; below 0 for types that give way to others, above 0 for those of a domain.
    """

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    family: str
    name: Texts
    about: Texts
    example: tuple[str, str]
    scored_by: str
    kinds: tuple[DataKind, ...] = Field(min_length=1)
    sources: tuple[str, ...] = Field(min_length=1)
    cues: Texts = Field(default_factory=dict)
    answer_cues: Texts = Field(default_factory=dict)
    form: tuple[Form, ...] = ()
    given: tuple[Given, ...] = ()
    weight: int = 0

    @field_validator("cues", "answer_cues")
    @classmethod
    def _compiles(cls, value: Texts) -> Texts:
        for text in value.values():
            re.compile(text)
        return value


class Family(Noun):
    """A group of task types: its id and its name in both languages."""

    id: str
    en: str
    zh: str


@cache
def families() -> tuple[Family, ...]:
    """Every family, in the order of their files."""
    return tuple(Family.model_validate(found["family"]) for found in _files())


@cache
def task_types() -> tuple[TaskType, ...]:
    """Every task type, family by family."""
    return tuple(
        TaskType.model_validate({**item, "family": found["family"]["id"]})
        for found in _files()
        for item in found["tasks"]
    )


def lookup(name: str) -> TaskType:
    """The task type called `name`.

    Raises:
        UserError: there is none; names the nearest ones.
    """
    for task in task_types():
        if task.id == name:
            return task
    raise UserError(unknown_task(name, ""))


def unknown_task(name: str, path: str) -> Problem:
    """What is told of a name that is no task type."""
    hint = did_you_mean(name, [task.id for task in task_types()])
    return Problem("unknown-task", f"there is no task type '{name}'", hint, path, value=name)


@cache
def _files() -> tuple[Any, ...]:
    from ruamel.yaml import YAML

    return tuple(YAML(typ="safe", pure=True).load(path.read_text("utf-8")) for path in sorted(_FOLDER.glob("*.yaml")))
