"""The command line in Chinese: every text of `outcome` and of labelling is translated; only data stays as it is."""

from __future__ import annotations

import ast
import inspect
import io
import re
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from tunesmith.app import comparison, label_pages, label_terminal, pages, words
from tunesmith.data.label.board import ROLES

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


def result(outcome: str | None) -> dict[str, Any]:
    """A run with every part that the page can show; all texts that are data hold no Latin letters."""
    reasons = [
        {"verdict": verdict, "message": f"<{number}>"} for number, verdict in enumerate(("passed", "failed", "unknown"))
    ]
    sides = ({"at_least": 0.5, "at_most": None}, {"at_least": None, "at_most": 0.5}, {"at_least": 0.5, "at_most": None})
    figures = {"low": 0.5, "high": 0.7, "base": 0.1, "base_fair": 0.2, "expert": 0.6}
    verdicts = ("passed", "failed", "unknown")
    return {
        "project": "7",
        "targets": [
            {**figures, "target": {"measure": "1", "slice": None, **side}, "verdict": verdict}
            for side, verdict in zip(sides, verdicts, strict=True)
        ],
        "stages": [{"stage": "2", "reused": True, "seconds": 0.0}, {"stage": "3", "reused": False, "seconds": 1.0}],
        "seconds": 1.0,
        "estimates": {
            "memory_gb": {"predicted": 1.5, "measured": 1.4},
            "minutes": {"predicted": 2.0, "measured": None},
        },
        "gates": [
            {"gate": "4", "verdict": verdict, "reasons": reasons, "lowered": "5"}
            for verdict in ("passed", "failed", "unknown")
        ],
        "notes": ["6"],
        "report": "8",
        "outcome": outcome,
    }


@pytest.mark.parametrize("outcome", ["passed", "stopped", "interrupted", None])
def test_nothing_of_the_page_stays_english(outcome: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_LANG", "zh")
    console = Console(file=io.StringIO(), width=200, record=True)
    pages.outcome(console, result(outcome))
    text = console.export_text()
    assert "门禁" in text and "专家模型" in text
    assert re.findall(r"[A-Za-z]{2,}", text) == []


def test_every_english_key_is_one_that_the_pages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is translated is asked for somewhere: no line of the table is left over from an older page."""
    asked: set[str] = set()

    def listen(text: str) -> str:
        asked.add(text)
        return text

    monkeypatch.setattr(pages, "say", listen)
    for outcome in ("passed", "stopped", "interrupted", None):
        pages.outcome(Console(quiet=True), result(outcome))
    assert asked - words._chinese().keys() == set()
    others = {text for module in (comparison, label_pages, label_terminal) for text in texts(module)}
    assert words._chinese().keys() - asked - others - set(ROLES) == set()


def texts(module: ModuleType, speakers: set[str] | None = None) -> set[str]:
    """The literal texts of a module, or those that it gives to one of the speakers."""
    nodes: list[ast.AST] = list(ast.walk(ast.parse(inspect.getsource(module))))
    if speakers is not None:
        calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        nodes = [part for call in calls if getattr(call.func, "id", "") in speakers for part in call.args]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("module", [comparison, label_pages, label_terminal, pages])
def test_every_text_that_is_said_has_its_chinese_words(module: ModuleType) -> None:
    found = texts(module, SPEAKERS)
    assert found and found - words._chinese().keys() == set()


def test_a_queue_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_LANG", "zh")
    console = Console(file=io.StringIO(), width=200, record=True)
    label_pages.status(console, STATUS)
    told = console.export_text()
    assert "管理员" in told
    assert set(re.findall(r"[A-Za-z]{2,}", told)) == {"red", "blue"}


def test_english_is_what_everybody_else_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_LANG", "de")
    assert words.say("report") == "report"
