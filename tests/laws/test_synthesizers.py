"""What every synthesizer on the shelf promises: children of training rows, the same again, no word lost."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from fakes import tiny_model_folder
from synth_fakes import Fake, context
from tunesmith.core.protocols import Maker
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Drop, Example, Message, example_id

SYNTHESIZERS = Shelf("synthesizers", "tunesmith.data.synthesize")
NAMES = SYNTHESIZERS.names()
SETTINGS: dict[str, dict[str, Any]] = {
    "document_questions": {},
    "self_instruct": {"rows": 6, "per_prompt": 2},
    "facts": {"extract": ({"use": "patterns", "domain": "medical"},)},
}
TEXTS = [
    ("Gout is treated with colchicine. Fever suggests influenza.",),
    ("What suggests measles?", "Rash suggests measles."),
    ("Name a drug against flu.", "Flu is treated with oseltamivir."),
    ("Which organ does hepatitis attack?", "The liver."),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("teacher")))


def rows() -> list[Example]:
    found = []
    for number, said in enumerate(TEXTS):
        messages = tuple(
            Message(role=role, content=text) for role, text in zip(("user", "assistant"), said, strict=False)
        )
        more: dict[str, Any] = {"source": "s", "licence": "MIT", "place": f"f:{number}", "split": "train"}
        found.append(Example(id=example_id(messages, None), messages=messages, group=f"g{number}", **more))
    return found


def build(name: str, model: str) -> Maker:
    settings = dict(SETTINGS[name])
    if name != "facts":
        settings["teacher"] = {"model": model}
    maker: Maker = SYNTHESIZERS.build({"use": name, **settings})
    return maker


def test_every_synthesizer_has_a_case() -> None:
    assert set(SETTINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_is_a_child_that_stands_where_its_parent_stands(name: str, model: str, tmp_path: Path) -> None:
    parents = {row.id: row for row in rows()}
    made = [m for m in build(name, model).make(rows(), context(tmp_path, open=Fake().open)) if isinstance(m, Example)]
    assert made
    for row in made:
        parent = parents[str(row.parent)]
        for field in ("group", "split", "source", "licence", "place", "kind"):
            assert getattr(row, field) == getattr(parent, field), field
        assert row.id == example_id(row.messages, row.target, row.rejected) and row.id not in parents
    assert len({row.id for row in made}) == len(made)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_and_answers_give_the_same(name: str, model: str, tmp_path: Path) -> None:
    first, other = (list(build(name, model).make(rows(), context(tmp_path / n, open=Fake().open))) for n in "ab")
    again = list(build(name, model).make(rows(), context(tmp_path / "a", open=None)))
    assert first == other == again


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("says", ["", "nonsense", "[{]", "1. \n2. ", '[{"question": 1}]', "the " * 500, "\ud7ff\x00"])
def test_garbage_makes_no_row_and_each_drop_has_step_reason_and_place(
    name: str, says: str, model: str, tmp_path: Path
) -> None:
    made = list(build(name, model).make(rows(), context(tmp_path, open=Fake(lambda _: says).open)))
    drops = [m for m in made if isinstance(m, Drop)]
    assert name == "facts" or (drops and len(drops) == len(made))
    for drop in drops:
        assert drop.step == f"synthesize.{name}" and drop.place
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", drop.reason)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_no_work(name: str, model: str, tmp_path: Path) -> None:
    assert list(build(name, model).make([], context(tmp_path, open=None))) == []


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen_and_the_first_line_says_what_it_does(name: str, model: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        build(name, model).other = 1  # type: ignore[attr-defined]
    assert len(SYNTHESIZERS.about(name)) > 20
