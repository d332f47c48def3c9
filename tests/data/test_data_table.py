from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example
from tunesmith.data.read._template import as_text, parse_template
from tunesmith.data.read.table import Table

LOANS = "age,amount [EUR],sex,rating,id\n41,1200,female,good,c1\n23,900,male,bad,c2\n"


def table(root: Path, content: str = LOANS, name: str = "loans.csv", **more: Any) -> list[Example | Drop]:
    (root / name).write_text(content, encoding="utf-8")
    settings = {"template": "Age {age}, {amount [EUR]} EUR.", "answer": "rating", **more}
    return list(Table(path=name, **settings).read(root, ()))


def test_a_row_becomes_an_instruction(tmp_path: Path) -> None:
    item, _ = table(
        tmp_path, system="Say good or bad.", group="id", attributes=("sex",), split="test", licence="CC-BY-4.0"
    )
    assert isinstance(item, Example)
    assert [(m.role, m.content) for m in item.messages] == [
        ("system", "Say good or bad."),
        ("user", "Age 41, 1200 EUR."),
        ("assistant", "good"),
    ]
    assert (item.reference, item.group, item.attributes, item.split) == ("good", "c1", {"sex": "female"}, "test")
    assert (item.source, item.licence, item.place, item.kind) == ("loans.csv", "CC-BY-4.0", "loans.csv:2", "structured")


def test_answer_and_target_can_be_templates_and_reasoning_leads(tmp_path: Path) -> None:
    item, _ = table(
        tmp_path, answer="<think>{age} years</think>\nRating: {rating}", target="rating", group="{sex}-{id}"
    )
    assert isinstance(item, Example)
    assert item.messages[-1].reasoning == "41 years"
    assert item.messages[-1].content == "Rating: good"
    assert (item.target, item.group) == ("good", "female-c1")


def test_values_are_inserted_and_never_parsed_again(tmp_path: Path) -> None:
    item, *_ = table(tmp_path, "x,y\n{y} {{z}} {0.__class__},b\n", template="{x}", answer="y")
    assert isinstance(item, Example)
    assert item.messages[0].content == "{y} {{z}} {0.__class__}"


@pytest.mark.parametrize("text", ["{age.__class__}", "{age!r}", "{age:>10}", "{0}", "{Age}"])
def test_only_names_of_columns_stand_between_braces(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        table(tmp_path, template=text)
    (problem,) = caught.value.problems
    assert problem.code == "missing-column"
    assert problem.path == "loans.csv"


def test_all_missing_columns_are_told_at_once_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        table(tmp_path, template="{agee}", answer="ratng", attributes=("sx",))
    assert [p.value for p in caught.value.problems] == ["agee", "ratng", "sx"]
    for problem, near in zip(caught.value.problems, ("age", "rating", "sex"), strict=True):
        assert problem.hint.startswith(f"did you mean '{near}'")


@pytest.mark.parametrize("text", ["{", "}", "a {} b", "{age", "age}", "{ }"])
def test_a_brace_that_names_no_column(text: str) -> None:
    with pytest.raises(UserError, match="broken-template"):
        parse_template(text, "template")


def test_double_braces_stay_as_single_ones() -> None:
    template = parse_template("{{a}} {b} {{{c}}}", "template")
    assert template.columns == ("b", "c")
    assert template.render({"b": 1, "c": 2}) == "{a} 1 {2}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "é"], '[1, "é"]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_cells_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


def test_a_json_row_without_the_column_is_a_drop(tmp_path: Path) -> None:
    content = '{"x": 1, "y": "a"}\n{"x": 2}\n{"x": 3, "y": " "}\n'
    items = table(tmp_path, content, "rows.jsonl", template="{x}", answer="y")
    assert [item.reason if isinstance(item, Drop) else "ok" for item in items] == [
        "ok",
        "missing-column",
        "empty-answer",
    ]


def test_an_absolute_path_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "loans.csv").write_text(LOANS, encoding="utf-8")
    source = Table(path=str(tmp_path / "loans.csv"), template="{age}", answer="rating")
    assert len(list(source.read(tmp_path / "project", ()))) == 2


def test_a_header_without_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        table(tmp_path, "age,amount [EUR],rating\n")


def test_a_misspelt_file_name_gets_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text(LOANS, encoding="utf-8")
    with pytest.raises(UserError, match=r"did you mean 'loans\.csv'"):
        list(Table(path="loan.csv", template="{age}", answer="rating").read(tmp_path, ()))
