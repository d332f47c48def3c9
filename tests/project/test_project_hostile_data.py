"""Data that cannot be used: one clear report with place and remedy, exit code 2, nothing half-made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from project_fakes import CommandLine, Ended, settings, stage_folders, table_rows, write_csv, write_settings

GOOD = [json.dumps({"text": text, "label": label}).encode() for text, label in table_rows()]


def run_with(command_line: CommandLine, project: Path, data: bytes, *, name: str = "rows.jsonl") -> Ended:
    """Run the project up to the snapshot with this source file."""
    (project / name).write_bytes(data)
    whole = settings()
    whole["data"]["sources"][0]["path"] = name
    write_settings(project, whole)
    return command_line("run", project, "--until", "data", "--json")


def nothing_half_made(project: Path) -> bool:
    """Only whole runs of earlier stages in the store, no temporary file or folder anywhere."""
    left = [p for p in project.rglob("*") if p.name.endswith((".tmp", ".old", ".part"))]
    whole = all((project / ".tunesmith/runs" / run / "artifact.json").is_file() for run in stage_folders(project))
    return not left and whole and not any(run.startswith("data/") for run in stage_folders(project))


def lines(*bad: bytes) -> bytes:
    """95 good lines with the bad ones from line 41 on."""
    return b"\n".join([*GOOD[:40], *bad, *GOOD[40:]]) + b"\n"


@pytest.mark.parametrize(
    ("bad", "code", "line"),
    [
        ([b'{"text": "x", "label": '], "broken-json", 41),
        ([b'{"text": "\xff\xfe", "label": "red"}'], "invalid-utf8", 41),
        ([b'{"text": "a\0b", "label": "red"}'], "nul-bytes", 41),
        ([b'["red"]'], "not-an-object", 41),
        ([b'{"text": "x", "label": "rde"}'], "unknown-label", 41),
        ([b'{"text": "x"}'], "missing-column", 41),
        ([b'{"text": ' + b"[" * 100_000 + b"}"], "broken-json", 41),
        ([b'{"text": NaN, "label": "red"}'], "broken-json", 41),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(
    command_line: CommandLine, project: Path, bad: list[bytes], code: str, line: int
) -> None:
    """A count and the remedy first, then each of the first five rows."""
    ended = run_with(command_line, project, lines(*bad))
    assert (ended.code, ended.codes[1:]) == (2, [code])
    summary, row = ended.json["problems"]
    assert "1 of 97 rows" in summary["message"] and "data.limits." in summary["hint"]
    assert (row["path"], row["line"]) == ("rows.jsonl", line)
    assert nothing_half_made(project)


def test_a_line_of_fifty_megabytes_is_skipped_in_pieces_and_told(command_line: CommandLine, project: Path) -> None:
    huge = b'{"text": "' + b"x" * 50_000_000 + b'", "label": "red"}'
    ended = run_with(command_line, project, lines(huge))
    assert (ended.code, ended.codes) == (2, ["broken-rows", "line-too-long"])
    assert ended.json["problems"][1]["line"] == 41
    assert "max_line_mb" in ended.json["problems"][1]["message"]
    assert nothing_half_made(project)


def test_a_byte_order_mark_and_windows_line_ends_are_read(command_line: CommandLine, project: Path) -> None:
    ended = run_with(command_line, project, b"\xef\xbb\xbf" + b"\r\n".join(GOOD) + b"\r\n")
    assert ended.code == 0, ended.out
    assert "byte-order-mark (1)" in ended.err


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("rows.jsonl", b"", "empty-file"),
        ("rows.jsonl", b"\n\n \n", "empty-file"),
        ("rows.csv", b"text,label\n", "empty-file"),
        ("rows.csv", b"words,label\nriver,red\n", "missing-column"),
        ("rows.csv", "text,label\nriver,red\n".encode("utf-16"), "wrong-encoding"),
        ("rows.json", b"[]", "empty-file"),
        ("rows.json", b'[{"text": "x", "label": "red"},]', "broken-json"),
        ("rows.parquet", b"PAR1 is not enough PAR1", "broken-parquet"),
        ("rows.jsonl", b"\x1f\x8b\x08\x00 gzip", "wrong-format"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_problem(
    command_line: CommandLine, project: Path, name: str, data: bytes, code: str
) -> None:
    ended = run_with(command_line, project, data, name=name)
    assert (ended.code, ended.codes) == (2, [code])
    (problem,) = ended.json["problems"]
    assert name in problem["path"] and problem["hint"]
    assert not (project / ".tunesmith").exists()


def test_a_missing_file_names_its_neighbour_and_a_folder_is_no_file(command_line: CommandLine, project: Path) -> None:
    whole = settings()
    whole["data"]["sources"] = [
        {**whole["data"]["sources"][0], "path": "row.csv"},
        {**whole["data"]["sources"][0], "path": "model"},
        {**whole["data"]["sources"][0], "path": "../outside.csv"},
    ]
    write_settings(project, whole)
    ended = command_line("check", project, "--json")
    assert (ended.code, ended.codes) == (2, ["missing-file", "not-a-file", "path-outside"])
    assert "rows.csv" in ended.json["problems"][0]["hint"]


def test_one_row_is_not_enough_and_says_so(command_line: CommandLine, project: Path) -> None:
    ended = run_with(command_line, project, b"text,label\nriver,red\n", name="rows.csv")
    assert ended.code == 3
    failed = [r["code"] for gate in ended.json["gates"] for r in gate["reasons"] if r["verdict"] != "passed"]
    assert failed == ["empty-split", "too-few-test-rows", "label-coverage"]


def test_rows_with_chinese_labels_that_begin_alike_are_learnt(command_line: CommandLine, project: Path) -> None:
    """The label set has a label that begins another one; both reach the report as classes of their own."""
    labels = ("红", "红色", "蓝色，深")
    write_csv(project / "rows.csv", table_rows(60, labels=labels))
    whole = settings()
    whole["profile"] |= {"labels": list(labels), "language": "zh", "problem": "说出颜色。", "targets": []}
    whole["tune"]["epochs"] = 1
    whole["data"]["limits"] = {"test_rows": 0}
    whole["evaluate"]["retention"] = {"items": 0, "passages": 0}
    write_settings(project, whole)
    ended = command_line("run", project, "--keep-going", "--json")
    assert ended.code == 3  # one epoch teaches it nothing
    slices = {m["slice"] for m in ended.json["measures"]}
    assert {f"label={label}" for label in labels} <= slices
    assert "红色" in Path(ended.json["report"]).read_text("utf-8")
