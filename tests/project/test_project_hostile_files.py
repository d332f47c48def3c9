"""Project files and model folders that cannot be used: every problem at once, with line, nearest name and remedy."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from fakes import edit_json
from project_fakes import CommandLine, settings, write_csv, write_settings
from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import Problem, UserError

WHOLE = """\
schema: 1
name: colours
profile:
  labels: [red, green, blue]
  targets:
    - {measure: accuracy, at_least: 0.5}
model: {use: model}
data:
  sources:
    - {use: table, path: rows.csv, template: "{text}", answer: label}
  clean:
    - use: unicode
tune:
  strategy: {use: lora, rank: 8}
  epochs: 2
"""


def problems_of(folder: Path, text: str | bytes) -> tuple[Problem, ...]:
    """What `check` says of a project file, beside good rows and no model (a catalog name needs none)."""
    if not (folder / "rows.csv").exists():
        write_csv(folder / "rows.csv", [("river A", "red"), ("stone B", "green"), ("cloud C", "blue")])
    data = text if isinstance(text, bytes) else text.replace("{use: model}", "{use: smollm2-135m-instruct}").encode()
    (folder / "tunesmith.yaml").write_bytes(data)
    before = sorted(folder.rglob("*"))
    try:
        Workshop().check(folder)
    except UserError as error:
        assert sorted(folder.rglob("*")) == before
        return error.problems
    return ()


def test_the_whole_file_is_good(tmp_path: Path) -> None:
    assert problems_of(tmp_path, WHOLE) == ()
    assert problems_of(tmp_path, b"\xef\xbb\xbf" + WHOLE.replace("{use: model}", "{use: auto}").encode())[:0] == ()


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "a mapping of sections is expected", 1),
        ("# only a comment\n", "a mapping of sections is expected", 1),
        ("- schema: 1\n- name: x\n", "a mapping of sections is expected", 1),
        ("just a text\n", "a mapping of sections is expected", 1),
        (WHOLE.replace("  epochs: 2", "\tepochs: 2"), "'\\t'", 15),
        (WHOLE + "name: again\n", 'duplicate key "name"', 16),
        (WHOLE.replace("epochs: 2", "epochs: [2"), "expected", 16),
        (WHOLE.replace("epochs: 2", "epochs: *two"), "undefined alias", 15),
        (WHOLE.encode().replace(b"colours", b"\xff\xfe"), "not UTF-8", 2),
        (WHOLE.replace("colours", "a\0b"), "U+0000 cannot stand", 2),
        ("a: 1\n---\nb: 2\n", "another document", 2),
    ],
)
def test_what_is_not_a_mapping_of_plain_yaml_is_one_problem_with_its_line(
    tmp_path: Path, text: str | bytes, message: str, line: int
) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert message in problem.message, problem
    assert problem.line == line or f"line {line}" in problem.message, problem
    assert "tunesmith.yaml" in problem.path
    assert problem.hint


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch canary']", "!secret x", "!!binary aGk="])
def test_tags_make_no_objects(tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = problems_of(tmp_path, WHOLE.replace("name: colours", f"name: {tag}"))
    assert [(p.code, p.line) for p in found] == [("yaml-tag", 2)]
    assert not (tmp_path / "canary").exists()


def test_an_alias_bomb_ends_at_once(tmp_path: Path) -> None:
    """Ten levels of ten aliases are 10^10 entries when written out."""
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]
    began = time.monotonic()
    found = problems_of(tmp_path, WHOLE + "\n".join(bomb) + "\n")
    assert time.monotonic() - began < 20
    assert found


def test_aliases_that_hold_themselves_do_not_hang(tmp_path: Path) -> None:
    assert problems_of(tmp_path, WHOLE + "loop: &loop [*loop]\n")
    assert problems_of(tmp_path, WHOLE.replace("epochs: 2", "epochs: &e {again: *e}"))


def test_a_few_aliases_are_welcome(tmp_path: Path) -> None:
    text = WHOLE.replace("labels: [red", "labels: &colours [red") + "evaluate:\n  slices: []\n"
    assert problems_of(tmp_path, text.replace("targets:", "terms: *colours\n  targets:")) == ()


def test_deep_nesting_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path, WHOLE + "deep: " + "[" * 5000 + "]" * 5000 + "\n")


def test_a_file_of_two_megabytes_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, WHOLE + "# " + "x" * 2_000_000)
    assert problem.code == "too-large"


def test_six_mistakes_are_six_problems_with_lines_and_nearest_names(tmp_path: Path) -> None:
    """Unknown key, wrong type, misspelt component, misspelt setting, out of range, a target that nothing measures."""
    text = (
        WHOLE.replace("  targets:", "  langauge: en\n  targets:")  # line 5
        .replace("epochs: 2", "epochs: many")  # line 16
        .replace("use: unicode", "use: unicod")  # line 13
        .replace("rank: 8", "rnak: 8")  # line 15
        .replace("measure: accuracy", "measure: acuracy")  # line 7
        + "evaluate:\n  level: 1.5\n"  # line 18
    )
    found = problems_of(tmp_path, text)
    told = {problem.path.partition("yaml: ")[2]: problem for problem in found}
    assert len(found) == 6, "\n".join(map(str, found))
    wanted = {
        "profile.langauge": (5, "language"),
        "tune.epochs": (16, ""),
        "data.clean[0]": (13, "unicode"),
        "tune.strategy.rnak": (15, "rank"),
        "profile.targets[0].measure": (7, "accuracy"),
        "evaluate.level": (18, ""),
    }
    for path, (line, nearest) in wanted.items():
        (problem,) = [p for key, p in told.items() if key.startswith(path)]
        assert f"line {line}" in f"{problem.message} line {problem.line}", problem
        assert nearest in problem.hint


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("labels: [red, green, blue]", "labels: red", "wrong-type"),
        ("labels: [red, green, blue]", "labels: [red, 2]", "wrong-type"),
        ("labels: [red, green, blue]", "labels: [yes, no]", ""),  # YAML 1.2: words
        ("labels: [red, green, blue]", "labels: [red, Red]", "double-label"),
        ("epochs: 2", "epochs: .nan", "wrong-value"),
        ("epochs: 2", "epochs: .inf", "wrong-value"),
        ("epochs: 2", "epochs: -1", "wrong-value"),
        ("epochs: 2", "learning_rate: 1e-3", ""),
        ("epochs: 2", "seed: 1", "unknown-key"),
        ("schema: 1", "schema: 2", "wrong-value"),
        ("schema: 1", "seed: -1", "wrong-value"),
        ("schema: 1", "seed: 4294967296", "wrong-value"),  # 32 bits: what every library takes
        ("name: colours", "name: ../../etc", "wrong-type"),
        ("name: colours", "name: 颜色", "wrong-type"),
        ("name: colours\n", "", "missing-key"),
        ("tune:\n", "tuen:\n", "unknown-key"),
        ("{use: lora, rank: 8}", "{use: lora, rank: 0}", "wrong-value"),
        ("{use: lora, rank: 8}", "{use: ../lora}", "unknown-component"),
        ("{use: lora, rank: 8}", "{use: os.system}", "unknown-component"),
        ("{use: lora, rank: 8}", "{rank: 8}", "missing-key"),
        ("{use: lora, rank: 8}", "lora", "wrong-type"),
        ("{use: lora, rank: 8}", "null", "wrong-type"),
        ('template: "{text}"', 'template: "{text.__class__}"', "missing-column"),
        ('template: "{text}"', 'template: "{txt}"', "missing-column"),
        ("rows.csv", "/etc/passwd", ""),
        ("{use: model}", "{use: ./not-there}", "unknown-model"),
        ("{use: model}", "{use: smolm2}", "unknown-model"),
        ("{use: model}", "{use: rows.csv}", "no-model"),
    ],
)
def test_one_mistake_each(tmp_path: Path, old: str, new: str, code: str) -> None:
    assert old in WHOLE
    found = problems_of(tmp_path, WHOLE.replace(old, new))
    if new == "rows.csv" or "passwd" in new:
        assert "Traceback" not in str(found)
        return
    assert [p.code for p in found] == ([code] if code else []), "\n".join(map(str, found))


def test_a_missing_project_is_told_with_what_to_type(command_line: CommandLine, tmp_path: Path) -> None:
    for word in ("check", "fill", "plan", "run", "show", "runs"):
        ended = command_line(word, tmp_path / "nowhere")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.splitlines()[0] == "1 problem:"
        assert "tunesmith new" in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("pytorch_model.bin", "pickled-file"),
        ("training_args.pt", "pickled-file"),
        ("auto_map", "remote-code"),
        ("modeling_evil.py", "remote-code"),
        ("no weights", "missing-weights"),
        ("cut weights", "broken-weights"),
        ("link", "link-outside"),
        ("gone", "unknown-model"),
    ],
)
def test_a_model_folder_that_cannot_be_trusted_is_refused_before_anything_runs(
    command_line: CommandLine, project: Path, spoil: str, code: str
) -> None:
    """A canary stands in the folder as code; it is never imported, by `check`, `plan` or `run`."""
    model, canary = project / "model", project / "canary"
    weights = model / "model.safetensors"
    if spoil.endswith((".bin", ".pt", ".py")):
        (model / spoil).write_text(f"open({str(canary)!r}, 'w')\n", "utf-8")
    if spoil == "auto_map":
        edit_json(model / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}, model_type="evil")
    if spoil == "no weights":
        weights.unlink()
    if spoil == "cut weights":
        weights.write_bytes(weights.read_bytes()[:5000])
    if spoil == "link":
        outside = weights.rename(project / "outside.safetensors")
        weights.symlink_to(outside)
    if spoil == "gone":
        model.rename(project / "gone")
    for word in ("check", "plan", "run"):
        ended = command_line(word, project, "--json")
        assert (ended.code, ended.codes) == (2, [code]), ended.out + ended.err
        (problem,) = ended.json["problems"]
        assert problem["hint"] and ("model" in problem["path"])
    assert not canary.exists()
    assert not (project / ".tunesmith").exists()


def test_a_folder_that_may_not_be_written_is_told(command_line: CommandLine, project: Path) -> None:
    """Records cannot be made where `.tunesmith` is a file; permissions alone would not stop a test run by root."""
    (project / ".tunesmith").write_text("in the way", "utf-8")
    ended = command_line("run", project, "--json")
    assert (ended.code, ended.codes) == (2, ["unwritable-home"])


def test_a_cache_folder_that_cannot_be_is_told(command_line: CommandLine, project: Path) -> None:
    (project / "file").write_text("in the way", "utf-8")
    ended = command_line("run", project, "--json", env={"TUNESMITH_CACHE": str(project / "file" / "cache")})
    assert ended.code == 2, ended.err
    assert str(project / "file") in json.dumps(ended.json)


def test_the_file_may_be_named_itself_and_may_lie_under_any_name(command_line: CommandLine, project: Path) -> None:
    other = project / "with spaces 颜色.yaml"
    write_settings(project, settings()).rename(other)
    assert command_line("check", other, "--json").json["project"] == "colours"
    assert command_line("check", os.path.relpath(other, project), "--json", cwd=project).code == 0
