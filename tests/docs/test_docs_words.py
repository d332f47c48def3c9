"""The command line in Chinese: every text of `outcome` is translated; only data stays as it is."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from tunesmith.app import pages, words


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
    assert words._chinese().keys() - asked == set()


def test_english_is_what_everybody_else_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_LANG", "de")
    assert words.say("report") == "report"
