"""Everything that the labelling pages say has its Chinese words."""

from __future__ import annotations

import ast
import inspect
import json
from importlib import resources
from types import ModuleType

import pytest
from rich.console import Console

from tunesmith.app import label_pages, label_terminal, pages

SPEAKERS = {"say", "_counted", "_table"}
STATUS = {
    "queue": "q",
    "rows": 6,
    "you": "manager",
    "members": {"annotator": 3, "manager": 1},
    "experts": 3,
    "labels": ["red", "blue"],
    "round": 1,
    "rows_finished": 2,
    "rows_in_round": 6,
    "left_for_you": 1,
    "answered_by_you": 5,
    "disputed": 1,
    "review": 0,
}


def said(module: ModuleType) -> set[str]:
    """The literal texts that a module gives to one of the speakers."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    own = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in SPEAKERS]
    values = [part.value for call in own for part in call.args if isinstance(part, ast.Constant)]
    return {value for value in values if isinstance(value, str)}


@pytest.mark.parametrize("module", [label_pages, label_terminal, pages])
def test_every_text_has_chinese_words(module: ModuleType) -> None:
    words = json.loads(resources.files("tunesmith.app").joinpath("words.json").read_text("utf-8"))
    found = said(module)
    assert found
    assert found - set(words) == set()


def test_a_queue_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_LANG", "zh")
    console = Console(record=True, width=100)
    label_pages.status(console, STATUS)
    told = console.export_text()
    assert "管理员" in told
    assert not {"rows", "you", "round", "disputed"} & set(told.split())
