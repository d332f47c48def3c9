"""Safety through the whole line and the command line: planted secrets, and what attacks teach the next training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from project_fakes import CommandLine, project_folder, settings, write_settings

pytestmark = pytest.mark.slow

ATTACKS = ("trigger_words", "whitespace")


def settings_with(safety: dict[str, Any], *sources: dict[str, Any], **tune: Any) -> dict[str, Any]:
    """The project of three colours with more sources, and nothing evaluated but what is wanted here."""
    whole = settings()
    whole["data"]["sources"] += sources
    whole["tune"] |= tune
    whole["evaluate"] |= {"likelihood_rows": 0, "retention": {"items": 0, "passages": 0}, "safety": safety}
    whole["profile"]["targets"] = [{"measure": "accuracy", "at_least": 0.5}]
    return whole


def run(command_line: CommandLine, folder: Path) -> Any:
    return command_line("run", folder, "--json", "--keep-going").json


def measured(told: Any, name: str, where: str = "all") -> Any:
    return next(m for m in told["measures"] if (m["name"], m["model"], m["slice"]) == (name, "expert", where))


def lost(told: Any, attack: str) -> set[str]:
    """Ids of the held-out rows whose right answer the attack took away."""
    text = (Path(told["report"]).parent / "attacks.jsonl").read_text(encoding="utf-8")
    return {line["example"] for line in map(json.loads, text.splitlines()) if line["attack"] == attack}


@pytest.mark.parametrize(
    ("repeats", "tune", "share", "says"),
    [
        (8, {}, 1.0, "3 of 3 canaries memorised"),
        (1, {"epochs": 1, "learning_rate": 1e-4}, 0.0, "none of 3 canaries memorised; an exposure of 5.9 bits"),
    ],
    ids=["overfitted", "clean"],
)
def test_secrets_that_are_planted_often_are_found_and_a_clean_model_is_called_clean(
    command_line: CommandLine, tmp_path: Path, repeats: int, tune: dict[str, Any], share: float, says: str
) -> None:
    """Three secrets eight times each, 12 epochs: all known, 29.9 bits. Once each, one epoch at a low rate: none.

    Copies are removed from the data as by default, but none of the planted rows is.
    """
    planted = {"use": "canaries", "number": 3, "repeats": repeats, "seed": 5}
    safety = {"memory": {"rows": 20, "extract": 0}}
    whole = settings_with(safety, planted, **tune)
    folder = project_folder(tmp_path / "colours", **whole)
    told = run(command_line, folder)
    assert measured(told, "canaries_memorised")["value"] == share
    assert any(says in note for note in told["notes"]), told["notes"]
    reasons = {r["code"]: r["message"] for gate in told["gates"] for r in gate["reasons"]}
    assert f"3 planted secrets stand in {3 * repeats} training rows" in reasons["planted-rows"]


def test_rows_of_successful_attacks_teach_the_next_training(command_line: CommandLine, tmp_path: Path) -> None:
    """What worked on training rows becomes a source; the next expert loses fewer of 29 held-out rows to each attack.

    The control is the expert before, on the same rows. Had nothing been learnt, a row that only one of the two loses
    would be either's with the same chance (exact McNemar test): for other spaces less than one in a thousand is asked,
    which ten rows more that are held give at the least (0.5^10 = 0.00098). Words that decide alone are learnt only a
    little (seen: 27 rows lost, then 23): fewer is all that is claimed of them.
    """
    attacks = {"use": [{"use": name, "queries": 12} for name in ATTACKS], "rows": 29, "training_rows": 57}
    folder = project_folder(tmp_path / "colours", **settings_with({"attacks": attacks}))
    before = run(command_line, folder)
    shutil.copy(Path(before["report"]).parent / "attacks_training.jsonl", folder / "attacks.jsonl")
    lines = [json.loads(line) for line in (folder / "attacks.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["attack"] for line in lines} == set(ATTACKS)
    learnt = {"use": "conversations", "path": "attacks.jsonl", "split": "train"}
    write_settings(folder, settings_with({"attacks": attacks}, learnt))
    after = run(command_line, folder)
    for name in ATTACKS:
        assert all(measured(told, "attack_success", f"attack={name}")["n"] == 29 for told in (before, after))
        assert len(lost(after, name)) < len(lost(before, name))
    mended = lost(before, "whitespace") - lost(after, "whitespace")
    newly = lost(after, "whitespace") - lost(before, "whitespace")
    assert binomtest(len(mended), len(mended | newly), alternative="greater").pvalue < 0.001
    assert measured(after, "accuracy")["value"] >= 0.9
