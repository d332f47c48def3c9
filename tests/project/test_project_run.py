"""Whole runs of a small project: what is made, what is reused, what stops it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from project_fakes import ROOT, CommandLine, Ended, files_below, settings, stage_folders, write_settings
from tunesmith.app.workshop import Workshop

TRUNK = ["profile", "data", "model", "tokens", "baseline", "tune", "reason", "evaluate"]


def made(result: dict[str, Any]) -> list[str]:
    """The stages of the last run that were not reused."""
    return [stage["stage"] for stage in result["stages"] if not stage["reused"]]


def changed(**sections: Any) -> dict[str, Any]:
    """The settings of the finished project with some keys of some sections replaced."""
    whole = settings()
    return settings(**{name: {**whole.get(name, {}), **value} for name, value in sections.items()})


def test_a_whole_run_passes_and_tells_gates_and_measures(first_run: tuple[Path, Ended]) -> None:
    folder, ended = first_run
    assert ended.code == 0, ended.err
    told = ended.json
    assert (told["outcome"], told["exit_code"], made(told)) == ("passed", 0, TRUNK)
    assert [gate["gate"] for gate in told["gates"]] == ["G1", "G0", "G2", "G3", "G4"]
    assert all(gate.keys() >= {"gate", "verdict", "reasons"} and gate["reasons"] for gate in told["gates"])
    assert {gate["verdict"] for gate in told["gates"]} == {"passed"}
    assert all(m.keys() >= {"name", "model", "value", "low", "high", "n", "slice"} for m in told["measures"])
    (accuracy,) = [m for m in told["measures"] if (m["name"], m["model"], m["slice"]) == ("accuracy", "expert", "all")]
    assert accuracy["n"] == 29 and accuracy["low"] < accuracy["value"] <= accuracy["high"]
    for side in told["estimates"].values():
        assert side["predicted"] > 0 and side["measured"] > 0
    assert (folder / told["report"]).is_file()
    assert "<html" in Path(told["report"]).read_text("utf-8")[:200]


def test_nothing_changed_makes_nothing_and_loads_no_torch(finished: Path) -> None:
    """A fresh process, at another place than the first run: moving a project changes nothing either."""
    before = stage_folders(finished)
    program = (
        "import sys\nfrom pathlib import Path\nfrom tunesmith.app.workshop import Workshop\n"
        "result = Workshop().run(Path(sys.argv[1]))\n"
        "stages = result['stages']\n"
        "print([s['stage'] for s in stages if not s['reused']], len(stages), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(finished)],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "", "HOME": str(finished.parent)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("[] 8 False", "")
    assert stage_folders(finished) == before


def test_a_changed_tune_section_stops_at_g3_and_a_lowered_gate_passes_without_running_anything(
    finished: Path, command_line: CommandLine
) -> None:
    """Trained for one step the expert is as bad as its base: G3 says no, exit code 3; data and baseline are reused."""
    tune = {"epochs": 0.1, "learning_rate": 1e-6}
    write_settings(finished, changed(tune=tune))
    stopped = command_line("run", finished, "--json")
    assert stopped.code == 3
    assert made(stopped.json) == ["tokens", "tune", "reason", "evaluate"]
    (g3,) = [gate for gate in stopped.json["gates"] if gate["gate"] == "G3"]
    assert g3["verdict"] == "failed" and g3["lowered"] is None
    assert {reason["code"] for reason in g3["reasons"] if reason["verdict"] == "failed"} >= {"target-accuracy"}
    before = stage_folders(finished)

    why = "a trial on made-up colours, never served"
    write_settings(finished, {**changed(tune=tune), "gates": {"G3": {"warn": why}}})
    lowered = command_line("run", finished, "--json")
    assert (lowered.code, made(lowered.json), lowered.json["outcome"]) == (0, [], "passed")
    assert stage_folders(finished) == before
    for told in (lowered.json, command_line("show", finished, "--json").json):
        (g3,) = [gate for gate in told["gates"] if gate["gate"] == "G3"]
        assert (g3["verdict"], g3["lowered"]) == ("failed", why)
    assert why in command_line("show", finished).out
    page = Path(lowered.json["report"]).read_text("utf-8")
    assert why in page and "Lowered to warnings" in page
    ledger = command_line("audit", "list", finished, "--json").json
    overrides = [entry["body"] for entry in ledger["entries"] if entry["kind"] == "override"]
    assert ledger["intact"] and [(o["gate"], o["reason"]) for o in overrides] == [("G3", why)]

    write_settings(finished, changed(tune=tune))  # and without the override it is stopped again
    assert command_line("run", finished, "--json").code == 3


def test_a_changed_source_file_makes_the_data_anew_and_a_touched_one_does_not(finished: Path) -> None:
    rows = finished / "rows.csv"
    rows.touch()
    assert made(Workshop().run(finished, until="data")) == []
    rows.write_text(rows.read_text("utf-8") + '"one more stone y A",red\n', "utf-8")
    assert made(Workshop().run(finished, until="data")) == ["data"]


def test_comments_and_order_in_the_project_file_change_nothing(finished: Path) -> None:
    file = finished / "tunesmith.yaml"
    file.write_text(f"# a comment\n{file.read_text('utf-8')}\n# the end\n", "utf-8")
    assert made(Workshop().run(finished)) == []
    whole = settings()
    write_settings(finished, {name: whole[name] for name in reversed(whole)})
    assert made(Workshop().run(finished)) == []


def test_the_seed_reaches_every_stage(finished: Path) -> None:
    write_settings(finished, settings(seed=1))
    plan = Workshop().plan(finished)
    assert "unchanged, will be reused" not in {step["what"] for step in plan["stages"]}


def test_plan_starts_nothing_and_writes_nothing(finished: Path) -> None:
    before = files_below(finished)
    plan = Workshop().plan(finished)
    assert {step["what"] for step in plan["stages"]} == {"unchanged, will be reused"}
    after = files_below(finished)
    assert {n for n in before if before[n] != after.get(n)} | (after.keys() - before.keys()) <= {
        ".tunesmith/locks/database.lock"
    }


def test_plan_of_a_project_that_was_never_run_leaves_no_trace(finished: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for name in ("rows.csv", "tunesmith.yaml"):
        (fresh / name).write_bytes((finished / name).read_bytes())
    (finished / "model").rename(fresh / "model")
    before = files_below(fresh)
    plan = Workshop().plan(fresh)
    assert [step["stage"] for step in plan["stages"]] == TRUNK
    what = {step["stage"]: step["what"] for step in plan["stages"]}
    assert what["profile"] == what["model"] == "will be made"
    assert what["data"] == what["tune"] == "follows from what comes before"
    assert plan["estimate"].keys() == {"memory", "training time", "disk", "how", "power"}
    [choice] = [row for row in plan["settings"] if row["name"] == "activation_checkpointing"]
    assert choice["value"] == "off" and "not needed" in choice["reason"]
    assert files_below(fresh) == before and not (fresh / ".tunesmith").exists()


def test_fill_reads_back_to_the_same_settings_and_the_same_runs(finished: Path) -> None:
    first = Workshop().show(finished)
    text = Workshop().fill(finished)
    (finished / "tunesmith.yaml").write_text(text, "utf-8")
    assert Workshop().check(finished)["problems"] == []
    assert Workshop().fill(finished) == text
    again = Workshop().run(finished)
    assert made(again) == []
    assert [s["run"] for s in again["stages"]] == [s["run"] for s in first["stages"]]


def test_only_evaluate_changed_trains_nothing_also_where_the_project_was_moved(finished: Path) -> None:
    """Its model lies inside it and moves with it; nothing is looked for where it was."""
    there = finished.rename(finished.with_name("moved and renamed \u989c\u8272"))
    assert made(Workshop().run(there)) == []
    write_settings(there, changed(evaluate={"level": 0.9}))
    assert made(Workshop().run(there)) == ["baseline", "evaluate"]


def test_fresh_makes_everything_again_with_the_same_ids(finished: Path) -> None:
    first = Workshop().show(finished)
    again = Workshop().run(finished, until="model", fresh=True)
    assert made(again) == TRUNK[:3]
    assert [s["artifact"] for s in again["stages"]] == [s["artifact"] for s in first["stages"]][:3]
    assert again["outcome"] == "unfinished"


def test_an_interrupted_run_is_whole_and_goes_on(finished: Path, command_line: CommandLine) -> None:
    """Ctrl-C in the middle of training: exit code 130, no half-made run; the same command goes on and ends well."""
    write_settings(finished, changed(tune={"epochs": 20, "checkpoint_every": "5 steps", "learning_rate": 0.004}))
    before = stage_folders(finished)
    ended = command_line("run", finished, "--json", interrupt_at='"step": 10')
    assert ended.code == 130
    assert ended.json["exit_code"] == 130
    assert stage_folders(finished) - before <= {p for p in stage_folders(finished) if p.startswith("tokens/run-")}
    assert command_line("runs", finished, "--json").json[0]["outcome"] == "interrupted"
    again = command_line("run", finished, "--json")
    assert again.code in (0, 3)
    assert made(again.json) == ["tune", "reason", "evaluate"]
    assert "resum" in again.err
    steps = [line for line in again.err.splitlines() if '"kind": "metric"' in line and '"stage": "tune"' in line]
    assert 0 < len(steps) < 20 * 8  # 58 rows in steps of 8 are 8 steps an epoch
    assert command_line("audit", "verify", finished, "--json").json["intact"]
