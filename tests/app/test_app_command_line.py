"""The command line as programs and people meet it: JSON documents, help, exit codes, no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from project_fakes import ROOT, CommandLine, files_below, project_folder, settings
from tunesmith.app import cli
from tunesmith.app.workshop import Workshop

COMMANDS = ["new", "check", "fill", "plan", "run", "show", "runs", "chat", "export", "list", "fetch", "doctor", "demo"]
COMMANDS += ["ask", "learn", "compare", "report", "data preview", "data diff", "audit verify", "audit list"]
LABEL = "new member open close status queues work adjudicate next set skip undo decide agreement rules errors"
COMMANDS += [f"label {word}" for word in f"{LABEL} consistency review export import".split()]


def words(app: Any, before: str = "") -> list[str]:
    """Every command that is there, so that none is forgotten below."""
    own = [f"{before}{c.name or c.callback.__name__}" for c in app.registered_commands]
    return own + [word for group in app.registered_groups for word in words(group.typer_instance, f"{group.name} ")]


def test_every_command_is_tried_here() -> None:
    assert sorted(words(cli.app)) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example_of_it(command_line: CommandLine, command: str) -> None:
    ended = command_line(*command.split(), "--help")
    assert ended.code == 0
    assert f"Example: tunesmith {command}" in ended.out
    assert "--json" in ended.out


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("check {p}", {"project", "file", "problems"}),
        ("fill {p}", {"yaml", "file"}),
        ("plan {p}", {"project", "stages", "settings", "estimate"}),
        ("run {p}", {"gates", "measures", "stages", "targets", "report", "exit_code"}),
        ("show {p}", {"gates", "measures", "stages", "targets", "report", "exit_code"}),
        ("runs {p}", None),
        ("compare {p} {p}", {"sides", "rows", "scores", "measures", "changed", "notes"}),
        ("chat {p} --say hello --at-most-tokens 3", {"text", "question", "model"}),
        ("chat {p} --base --say hello --at-most-tokens 3", {"text", "question", "model"}),
        ("ask hello --project {p} --at-most-tokens 3", {"text", "question", "chains", "fused"}),
        ("ask hello --project {p} --at-most-tokens 3 --base", {"text", "question", "chains", "fused"}),
        ("learn {p} --rows 3 --draws 2 --at-most-tokens 3", {"file", "asked", "kept", "left", "tokens"}),
        ("export {p} --to {p}/merged", {"folder"}),
        ("list", {"sources", "cleaners", "metrics"}),
        ("doctor", {"machine", "libraries", "models"}),
        ("data preview {p}", None),
        ("audit verify {p}", {"intact", "records"}),
        ("audit list {p}", {"entries"}),
    ],
)
def test_json_is_one_document_on_standard_output(
    command_line: CommandLine, finished: Path, command: str, keys: set[str] | None
) -> None:
    ended = command_line(*command.format(p=finished).split(), "--json")
    assert ended.code == 0, ended.out + ended.err
    assert isinstance(ended.json, list) if keys is None else keys <= ended.json.keys()
    for line in ended.err.splitlines():
        assert json.loads(line)["kind"]  # progress for programs, one object a line


@pytest.mark.parametrize(
    "command",
    [
        "new {p} --recipe medical-coding",
        "new {p}/new --recipe medical-codign",
        "demo medical-codign --folder {p}/new",
        "fetch smolm2",
        "chat {p}",
        "run {p} --until tokns",
        "run {p} --nonsense",
        "nonsense",
        "compare {p} run-nowhere --project {p}",
        "export {p}",
        "export {p} --to {p}",
        "data preview {p}/nothing.jsonl",
        "data preview {p} --rows 0",
        "show {p}/nowhere",
    ],
)
def test_a_mistake_is_one_document_too_and_leaves_nothing(
    command_line: CommandLine, finished: Path, command: str
) -> None:
    before = files_below(finished).keys()
    ended = command_line(*command.format(p=finished).split(), "--json")
    assert ended.code == 2, ended.out + ended.err
    assert ended.json["exit_code"] == 2
    assert ended.json["problems"] and all(p["message"] for p in ended.json["problems"])
    assert "Traceback" not in ended.err
    assert files_below(finished).keys() == before


def test_the_plan_tells_beforehand_how_many_rows_the_verdict_needs(finished: Path) -> None:
    """Five points at a chance of 80 %, where 30 % of the answers differ: some 970 rows, and 28 are there."""
    told = Workshop().plan(finished)["estimate"]["power"]
    assert re.match(
        r"9\d\d rows show a difference of 0.05 with a chance of 80% .* counted \d+ will be asked: too few", told
    )


def test_show_before_any_run_is_told_and_leaves_nothing(command_line: CommandLine, project: Path) -> None:
    for words in (["show"], ["export", "--to", str(project / "to")], ["chat", "--say", "x"]):
        ended = command_line(words[0], project, *words[1:], "--json")
        assert (ended.code, ended.codes) == (2, ["not-run"])
    assert command_line("runs", project, "--json").json == []
    assert command_line("audit", "verify", project, "--json").json["records"] == 0
    assert not (project / ".tunesmith").exists()


def test_tables_for_people_have_the_targets_and_the_verdict(command_line: CommandLine, finished: Path) -> None:
    ended = command_line("show", finished)
    assert ended.code == 0
    assert "accuracy at least 0.5" in ended.out
    assert "PASSED" in ended.out
    chinese = command_line("show", finished, env={"TUNESMITH_LANG": "zh"})
    assert "不低于 0.5" in chinese.out
    for command in ("plan", "runs", "fill", "audit list", "audit verify", "data preview"):
        assert command_line(*command.split(), finished).code == 0


def test_a_damaged_store_is_our_fault_and_names_the_file(command_line: CommandLine, finished: Path) -> None:
    """Exit code 1, and still one JSON document."""
    (report,) = finished.glob(".tunesmith/runs/evaluate/*/report.json")
    report.write_bytes(report.read_bytes()[:-10])
    ended = command_line("show", finished, "--json")
    assert (ended.code, ended.json["exit_code"]) == (1, 1)
    assert str(report) in ended.json["error"] and "Traceback" not in ended.err


def test_a_fault_of_ours_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("tunesmith.app.workshop.Workshop.check", broken)
    for flag in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["tunesmith", "check", *flag])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        told = capsys.readouterr()
        assert "a fault of tunesmith" in told.err and "ZeroDivisionError" in told.err
        assert (json.loads(told.out)["exit_code"] == 1) if flag else (told.out == "")


def test_a_tampered_ledger_is_found(command_line: CommandLine, finished: Path) -> None:
    database = finished / ".tunesmith" / "records.db"
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET body = replace(body, 'passed', 'failed') WHERE kind = 'run-ended'")
    connection.close()
    ended = command_line("audit", "verify", finished, "--json")
    assert ended.code == 2
    assert not ended.json["intact"] and ended.json["problems"]


def test_fill_writes_a_file_that_checks_clean(command_line: CommandLine, finished: Path) -> None:
    to = finished / "full.yaml"
    assert command_line("fill", finished, "--to", to, "--json").json["file"] == str(to)
    assert command_line("check", to).code == 0
    assert "#" in to.read_text("utf-8")  # every field is explained


OFFLINE = """
import socket, os
asked = open(os.environ["ASKED"], "a")
def refuse(self, address, *rest):
    print(address, file=asked, flush=True)
    raise OSError(f"blocked: {address}")
def refuse_name(*args, **kwargs):
    print(args, file=asked, flush=True)
    raise OSError(f"blocked: {args}")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse_name
"""


def test_the_whole_line_runs_without_a_network_and_asks_for_none(tmp_path: Path) -> None:
    """A fresh process in which every connection and every look-up of a name is noted and refused; no HF_ variable."""
    quick = settings()
    quick["tune"]["epochs"] = 1
    folder = project_folder(tmp_path / "colours", tune=quick["tune"])
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(OFFLINE, "utf-8")
    asked = tmp_path / "asked"
    asked.touch()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))} | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT / "src")]),
        "ASKED": str(asked),
        "TUNESMITH_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tunesmith.app.cli", "run", str(folder), "--keep-going", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert len(json.loads(done.stdout)["stages"]) == 8
    assert asked.read_text() == ""


def test_help_is_quick_to_load(tmp_path: Path) -> None:
    """No torch, no transformers, no pandas: what `--help` imports is told by Python itself."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-X", "importtime", "-m", "tunesmith.app.cli", "--help"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "peft", "numpy", "pyarrow", "sqlalchemy", "scipy", "pandas"})


def test_a_closed_pipe_is_no_traceback(finished: Path) -> None:
    """`tunesmith fill | head -1`."""
    script = f"{sys.executable} -m tunesmith.app.cli fill {finished} | head -c 5"
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_run_by_two_at_once_is_made_once(command_line: CommandLine, project: Path) -> None:
    """Two processes on one project: the second waits for the first and reuses what it made."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TUNESMITH_CACHE": str(project / "cache")}
    command = [sys.executable, "-m", "tunesmith.app.cli", "run", str(project), "--until", "data", "--json"]
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({t["stages"][1]["artifact"] for t in told}) == 1
    assert shutil.which("sh")
    assert len(command_line("runs", project, "--json").json) == 2


def test_what_the_disk_refuses_is_told_as_the_users_to_mend(command_line: CommandLine, finished: Path) -> None:
    for to in (finished / "model", finished / "rows.csv" / "below", finished / ("x" * 300)):
        ended = command_line("fill", finished, "--to", to, "--json")
        assert (ended.code, ended.codes) == (2, ["refused-by-the-disk"]), ended.err
    assert not [p for p in finished.rglob("*") if p.name.endswith(".tmp")]
