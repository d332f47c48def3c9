"""The safety half from the stage's side: measured where it is asked for, judged by G4 where there is a target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluate_fakes import LABELS, FakeModel, colours, example, profile_of, right_answers
from test_evaluate_stage import GOOD, POOR, evaluated, gate, value

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Target
from tunesmith.data.read.canaries import canaries
from tunesmith.evaluate.safety_spec import AttackingSpec, DetectingSpec, MemorySpec, SafetySpec
from tunesmith.evaluate.spec import EvaluateSpec, check, measures

ROWS = colours(60)
TRAINING = [example(n, LABELS[n % 3], split="train") for n in range(100, 160)]


def spec_of(safety: SafetySpec) -> EvaluateSpec:
    return EvaluateSpec(resamples=200, latency_rows=0, safety=safety)


def rows_and(*more: Example) -> list[Example]:
    return [*ROWS, *TRAINING, *more]


def test_an_expert_that_breaks_under_attack_is_stopped_by_g4(tmp_path: Path) -> None:
    """54 of 60 are right as they stand, and an altered question is none that it knows: all 40 attacked rows fall or
    were wrong before, and both targets are missed."""
    safety = SafetySpec(attacks=AttackingSpec(use=[{"use": "distraction"}], rows=40))
    profile = profile_of(Target(measure="robust_accuracy", at_least=0.5), Target(measure="attack_success", at_most=0.2))
    report = evaluated(tmp_path, profile=profile, rows=rows_and(), spec=spec_of(safety))
    assert value(report, "attack_success") == 1.0
    assert value(report, "robust_accuracy") == 0.0
    assert value(report, "attack_success", where="attack=distraction") == 1.0
    reasons = {reason.code: reason.verdict for reason in gate(report, "G4").reasons}
    assert reasons["target-robust-accuracy"] == "failed" == reasons["target-attack-success"]
    assert not any("attack" in reason.code for reason in gate(report, "G3").reasons)
    told = json.loads((tmp_path / "report" / "attacks.json").read_text(encoding="utf-8"))
    assert sum(told["distraction"]["rows"].values()) == 40
    lines = (tmp_path / "report" / "attacks.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == told["distraction"]["rows"]["lost"]


def test_what_worked_on_training_rows_is_written_apart(tmp_path: Path) -> None:
    """Held-out rows stay held out: rows for the next training come from training rows only."""
    table = right_answers([*ROWS, *TRAINING])
    expert = FakeModel("expert", table)
    safety = SafetySpec(attacks=AttackingSpec(use=[{"use": "letter_case"}], rows=5, training_rows=7))
    evaluated(tmp_path, expert=expert, rows=rows_and(), spec=spec_of(safety))
    lines = [json.loads(x) for x in (tmp_path / "report" / "attacks_training.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 7
    assert {line["example"] for line in lines} <= {row.id for row in TRAINING}
    assert all(line["messages"][-1]["role"] == "assistant" for line in lines)


def test_memory_is_tested_with_its_power_in_the_notes(tmp_path: Path) -> None:
    safety = SafetySpec(memory=MemorySpec(rows=40, extract=5))
    report = evaluated(tmp_path, rows=rows_and(*canaries(3, seed=5)), spec=spec_of(safety))
    assert value(report, "canaries_memorised") == 0.0
    auc = value(report, "membership_auc")
    assert auc is not None and 0.3 < auc < 0.7
    assert any("none of 3 canaries memorised" in note for note in report.notes)


def test_a_model_that_shows_no_states_is_told_and_abstention_needs_confidences(tmp_path: Path) -> None:
    safety = SafetySpec(detect=DetectingSpec(use=[{"use": "neighbours"}], risk=0.2))
    report = evaluated(tmp_path, rows=rows_and(), spec=spec_of(safety))
    assert any("no detector was fitted" in note for note in report.notes)
    kept = json.loads((tmp_path / "report" / "abstention.json").read_text(encoding="utf-8"))
    assert kept["risk"] == 0.2 and kept["rows"] == 60
    assert value(report, "answered_share") is not None


def test_nothing_runs_that_was_not_asked_for(tmp_path: Path) -> None:
    report = evaluated(tmp_path, expert=GOOD, base=POOR)
    assert not any(measure.name in ("attack_success", "membership_auc", "ood_auroc") for measure in report.measures)
    assert not (tmp_path / "report" / "attacks.json").exists()


def test_wrong_settings_are_told_all_at_once(tmp_path: Path) -> None:
    use = [{"use": "typoss"}, {"use": "typos", "edits": 0}, {"use": "recorded", "path": "none.jsonl"}, {"use": "typos"}]
    safety = SafetySpec(attacks=AttackingSpec(use=use), detect=DetectingSpec(use=[{"use": "mahalanobis"}]))
    problems = check(EvaluateSpec(safety=safety), tmp_path)
    assert sorted(problem.code for problem in problems) == [
        "missing-file", "named-twice", "unknown-component", "unknown-component", "wrong-value"
    ]  # fmt: skip


def test_what_will_be_measured_is_known_beforehand() -> None:
    safety = SafetySpec(attacks=AttackingSpec(use=[{"use": "typos"}]), memory=MemorySpec(rows=10, extract=0))
    names = measures(EvaluateSpec(safety=safety), "classification", LABELS)
    assert {"attack_success", "robust_accuracy", "membership_auc", "canaries_memorised"} <= set(names)
    assert "rows_extracted" not in names and "ood_auroc" not in names


def test_attacks_of_a_file_that_leads_out_of_the_project_are_refused(tmp_path: Path) -> None:
    use = [{"use": "recorded", "path": "../other.jsonl"}]
    with pytest.raises(UserError, match="path-outside"):
        evaluated(tmp_path, rows=rows_and(), spec=spec_of(SafetySpec(attacks=AttackingSpec(use=use))))
