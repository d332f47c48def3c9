"""Activation checkpointing is chosen by the estimate, only where it is needed and helps, and a run keeps its choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.events import Event
from tunesmith.core.types import Tokens
from tunesmith.models.hardware import Hardware
from tunesmith.tune import stage
from tunesmith.tune.feasible import choose_checkpointing, judge_feasible


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 GB free."""
    monkeypatch.setattr(
        "tunesmith.models.hardware.look", lambda: Hardware(cores=2, free_cores=2, memory_gb=16, free_gb=8)
    )


def predicted(plain: float, sparing: float) -> Any:
    """Estimates in GB without and with activation checkpointing, which takes a fifth more time."""

    def made(on: bool) -> dict[str, Any]:
        memory = sparing if on else plain
        return {
            "memory_gb": memory,
            "parts_gb": {"activations": memory},
            "moments_gb": {"steps": {"activations": memory}},
            "largest_moment": "steps",
            "minutes": 12.0 if on else 10.0,
            "parts_minutes": {"forward": 10.0},
            "phases": [],
            "gflops": 100.0,
            "slower": 1.0,
            "tera": 1.0,
            "disk_gb": 3.0,
            "parts_disk_gb": {"border states": 3.0},
            "disk_free_gb": 2.0,
            "workers": 2,
            "device": "cpu",
        }

    return made


@pytest.mark.parametrize(
    ("wanted", "plain", "sparing", "budget", "value", "words"),
    [
        ("auto", 7.9, 4.0, None, "off", "not needed: training takes about 7.9 GB, and this machine has free 8.0 GB"),
        ("auto", 9.0, 4.0, None, "on", "9.0 GB without it and this machine has free 8.0 GB; with it 4.0 GB, for 20%"),
        ("auto", 7.9, 4.0, 6.0, "on", "the budget allows 6.0 GB"),
        ("auto", 19.0, 9.0, None, "off", "would not help: 19.0 GB without it, 9.0 GB with it"),
        ("off", 9.0, 4.0, None, "off", "the project file says so"),
        ("on", 2.0, 1.0, None, "on", "the project file says so"),
    ],
)
def test_it_is_chosen_where_it_is_needed_and_helps(
    wanted: str, plain: float, sparing: float, budget: float | None, value: str, words: str
) -> None:
    section = spec(activation_checkpointing=wanted)
    found = choose_checkpointing(section, budget, predicted(plain, sparing))
    assert found["checkpointing"]["value"] == value and words in found["checkpointing"]["reason"]
    assert found["memory_gb"] == (sparing if value == "on" else plain)


def test_g0_tells_the_choice_the_workers_and_the_disk(tmp_path: Path) -> None:
    found = choose_checkpointing(spec(), None, predicted(9.0, 4.0))
    verdict = judge_feasible(found, base=tiny_base(tmp_path), profile=profile(), context_tokens=64)
    told = {reason.code: reason for reason in verdict.reasons}
    assert told["memory"].verdict == "passed"
    assert told["memory"].message.startswith("training by 2 workers needs about 4.0 GB; this machine has free 8.0 GB")
    assert "Activation checkpointing is on: training would take 9.0 GB without it" in told["memory"].message
    assert told["memory"].evidence["activation_checkpointing"]["value"] == "on"
    assert told["disk"].verdict == "failed"
    assert told["disk"].message == "training writes about 3.0 GB; the disk has 2.0 GB free"
    assert told["time"].evidence["parts_minutes"] == {"forward": 10.0}


def chosen(tokens: Tokens, value: str) -> Tokens:
    choice = {"value": value, "reason": "of this test"}
    estimate = {"checkpointing": choice, "phases": [], "memory_gb": 1.5, "minutes": 2.0}
    return tokens.model_copy(update={"estimate": estimate})


def run(tmp_path: Path, tokens: Tokens, **settings: Any) -> list[Event]:
    heard: list[Event] = []
    stage.run(
        spec(**settings),
        base=tiny_base(tmp_path),
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens,
        context=context_of(tmp_path / "run", heard),
    )
    return heard


def told_of(heard: list[Event]) -> list[str]:
    return [event.message for event in heard if event.message.startswith("activation checkpointing")]


def test_training_follows_the_choice_and_a_resumed_run_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second start finds another choice, as it may where the tokens were made anew with less memory free."""
    used: list[Any] = []
    monkeypatch.setattr(stage, "_compute_activations_again", used.append)
    tokens = tokens_of(tmp_path / "tokens", some_rows(6))
    assert told_of(run(tmp_path, chosen(tokens, "on"))) == ["activation checkpointing is on: of this test"]
    assert told_of(run(tmp_path, chosen(tokens, "off"))) == ["activation checkpointing is on: of this test"]
    assert len(used) == 2


def test_what_the_file_says_needs_no_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []
    monkeypatch.setattr(stage, "_compute_activations_again", used.append)
    tokens = chosen(tokens_of(tmp_path / "tokens", some_rows(6)), "on")
    assert told_of(run(tmp_path, tokens, activation_checkpointing=False)) == [
        "activation checkpointing is off: the project file says so"
    ]
    assert not used


def test_memory_and_time_are_told_beside_what_was_predicted(tmp_path: Path) -> None:
    heard = run(tmp_path, chosen(tokens_of(tmp_path / "tokens", some_rows(6)), "off"))
    [told] = [event for event in heard if event.message.startswith("training took")]
    assert told.data["predicted"] == {"memory_gb": 1.5, "minutes": 2.0}
    assert told.data["measured"]["memory_gb"] > 0.05 and told.data["measured"]["minutes"] > 0
    assert "predicted were 1.50 GB and 2.0 minutes" in told.message
