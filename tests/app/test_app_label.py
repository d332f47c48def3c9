"""`tunesmith label` as people and programs meet it, from rows to an exported source."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from project_fakes import LABELS, settings, table_rows, write_csv, write_settings
from tunesmith.app import cli
from tunesmith.app.label_terminal import label_rows, settle_rows
from tunesmith.app.workshop import Workshop
from tunesmith.core.files import read_json

Say = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project that nobody has run: its model is not needed to label."""
    folder = tmp_path / "colours"
    write_csv(folder / "rows.csv", table_rows(6))
    write_settings(folder, settings(model={"use": "smollm2-135m-instruct"}))
    return folder


@pytest.fixture
def say(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `tunesmith label VERB PROJECT ...`; its JSON document, or with `code` what it ended with."""

    def run(verb: str, *words: object, by: str = "max", code: int = 0, as_json: bool = True) -> Any:
        argv = ["tunesmith", "label", verb, str(place), *map(str, words), "--as", by, *["--json"] * as_json]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told.out + told.err
        assert "Traceback" not in told.err
        return json.loads(told.out) if as_json else told.out

    return run


@pytest.fixture
def opened(say: Say, place: Path) -> Say:
    """A queue with three annotators and an adjudicator, and a round that is open."""
    service = Workshop().labelling(place, name="max")
    service.create("q", source="rows.csv", template="{text}", question="Which colour?")
    desk = service.desk("q")
    for person in ("ann", "bob", "cyd"):
        desk.member(person, "annotator")
    desk.member("ada", "adjudicator")
    desk.open_round()
    return say


def label_all(place: Path, *, but: str = "") -> None:
    """All give the right colour; on the first row `but` says another."""
    right = dict(table_rows(6))
    for person in ("ann", "bob", "cyd"):
        desk = Workshop().labelling(place, name=person).desk("q")
        first = True
        while (row := desk.next()) is not None:
            label = right[row["text"]]
            wrong = next(other for other in LABELS if other != label)
            desk.label(row["row"], wrong if first and person == but else label)
            first = False


def test_from_rows_to_an_exported_source(opened: Say, place: Path) -> None:
    label_all(place, but="cyd")
    opened("close", "q")
    (dispute,) = opened("adjudicate", "q", by="ada")
    assert len(dispute["said"]) == 3
    opened("decide", "q", dispute["row"], dispute["labels"][0], "--reason", "the last word", by="ada")
    found = opened("agreement", "q")
    assert 0.5 < found["alpha"]["value"] < 1.0 and len(found["kappas"]) == 3
    told = opened("export", "q", "--to", place / "labelled.jsonl")
    assert (told["rows"], told["settled"]) == (6, {"adjudicated": 1, "unanimous": 5})
    assert read_json(place / "labelled.jsonl.agreement.json")["sha256"] == told["digest"]
    (entry,) = (e for e in Workshop().audit(place)["entries"] if e["kind"] == "labels")
    assert entry["body"]["sha256"] == told["digest"] and entry["actor"].startswith("p-")
    whole = settings(model={"use": "smollm2-135m-instruct"})
    whole["data"]["sources"] = [{"use": "conversations", "path": "labelled.jsonl", "target": "target"}]
    write_settings(place, whole)
    assert Workshop().check(place)["problems"] == []


def test_programs_label_row_by_row(opened: Say) -> None:
    assert opened("member", "q", "dan", "--role", "annotator")["role"] == "annotator"
    row = opened("next", "q", by="ann")
    assert opened("set", "q", row["row"], "red", by="ann") == {"row": row["row"], "label": "red"}
    assert opened("undo", "q", by="ann") == {"row": row["row"]}
    assert opened("skip", "q", row["row"], "--reason", "cut off", by="ann")["skipped"] == "cut off"
    assert opened("next", "q", by="ann")["row"] != row["row"]
    told = opened("status", "q", by="ann")
    assert (told["answered_by_you"], told["left_for_you"], told["you"]) == (1, 5, "annotator")
    assert opened("queues")["queues"] == ["q"]


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_to_another_program_and_back(opened: Say, place: Path, form: str) -> None:
    """While a round is open the file has no labels; afterwards it has, and another queue takes them."""
    label_all(place)
    blind = opened("export", "q", "--to", place / "blind.json", "--format", form)
    assert blind["with_labels"] is False
    assert not any(f'"{label}"' in (place / "blind.json").read_text("utf-8") for label in LABELS)
    opened("close", "q")
    assert opened("export", "q", "--to", place / "full.json", "--format", form)["with_labels"] is True
    opened("new", "r", "--from", "rows.csv", "--template", "{text}")
    opened("open", "r")
    assert opened("import", "r", place / "full.json", "--format", form)["labels"] == 18
    assert opened("close", "r")["rounds_closed"] == 1


def test_rules_then_people_then_a_second_look(opened: Say, place: Path) -> None:
    label_all(place)
    opened("close", "q")
    (place / "rules.yaml").write_text(
        json.dumps([{"name": x, "regex": f"{x}$", "label": y} for x, y in zip("ABC", LABELS, strict=True)]), "utf-8"
    )
    (place / "mine.py").write_text("def red(row):\n    return 'red' if row['text'].endswith('A') else None\n", "utf-8")
    words = ("rules", "q", "--rules", place / "rules.yaml", "--functions", place / "mine.py")
    told = opened(*words, "--model", "majority", "--save")
    assert [(f["name"], f["coverage"], f["accuracy"]) for f in told["functions"]][-1] == ("red", 2 / 6, 1.0)
    assert (told["covered"], told["accuracy"], told["gold"]) == (6, 1.0, 6)
    assert told["trust"]["trusted"] is False and "20 are needed" in told["trust"]["told"]
    rows = [json.loads(line) for line in export_lines(opened, place)]
    assert {row["labels"]["rule"]["label"] == row["target"] for row in rows} == {True}
    wrong = [{"row": row["id"], "label": "blue" if row["target"] == "red" else row["target"]} for row in rows]
    (place / "model.jsonl").write_text("\n".join(map(json.dumps, wrong)), "utf-8")
    compared = opened("consistency", "q", "--predictions", place / "model.jsonl")
    assert (compared["agreeing"], len(compared["differing"])) == (4, 2)
    assert len(opened("review", "q")) == 2
    assert [json.loads(line)["target"] for line in export_lines(opened, place)] == [row["target"] for row in rows]
    assert opened("open", "q", "--rows", "review")["rows_in_round"] == 2
    for verb in ("status", "review", "agreement"):
        assert opened(verb, "q", as_json=False)
    assert "coverage" in opened(*words, as_json=False)
    assert opened("errors", "q", code=2)["problems"][0]["code"] == "too-few-rows"


def export_lines(say: Say, place: Path) -> list[str]:
    say("export", "q", "--to", place / "out.jsonl")
    return (place / "out.jsonl").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("next", "nowhere"), "unknown-queue"),
        (("new", "q", "--from", "rows.csv"), "no-template"),
        (("new", "q", "--from", "none.csv", "--template", "{text}"), "missing-file"),
        (("new", "q", "--from", "rows.csv", "--template", "{txt}"), "missing-column"),
        (("new", "q", "--from", "rows.csv", "--template", "{text}", "--labels", "red"), "no-labels"),
        (("new", "a/b", "--from", "rows.csv", "--template", "{text}"), "bad-name"),
        (("new", "q"), "not-run"),
        (("work", "q"), "needs-a-person"),
    ],
)
def test_mistakes_are_one_document_with_exit_code_2(say: Say, words: tuple[str, ...], code: str) -> None:
    assert [p["code"] for p in say(*words, code=2)["problems"]] == [code]


def terminal(place: Path, name: str, *lines: str, monkeypatch: pytest.MonkeyPatch, session: Any = label_rows) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    session(Workshop().labelling(place, name=name).desk("q"))


def given(place: Path, name: str) -> list[tuple[str, str | None]]:
    """What somebody's answers in the first round are, oldest first."""
    desk = Workshop().labelling(place, name=name).desk("q")
    said = desk.board.rounds[0].said[desk.person]
    return [(event.kind, event.body.get("label")) for event in said]


def test_labelling_on_the_terminal(
    opened: Say, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number, by name, a slip, one undone, one skipped with its reason, then away."""
    terminal(place, "ann", "1", "blue", "what", "3", "u", "s", "cut off", "q", monkeypatch=monkeypatch)
    assert given(place, "ann") == [("label", "red"), ("label", "blue"), ("skip", None)]
    told = capsys.readouterr().out
    assert "Which colour?" in told and "none of these" in told and "3 rows answered" in told
    terminal(place, "bob", *["2"] * 6, monkeypatch=monkeypatch)  # the end of the rows is an end, too
    assert len(given(place, "bob")) == 6
    terminal(place, "cyd", "1", monkeypatch=monkeypatch)  # and so is the end of input
    assert len(given(place, "cyd")) == 1


def test_keys_are_taken_one_at_a_time_where_there_is_a_terminal(
    opened: Say, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = iter("1x2q")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.getchar", lambda: next(keys))
    label_rows(Workshop().labelling(place, name="ann").desk("q"))
    assert given(place, "ann") == [("label", "red"), ("label", "green")]


def test_ctrl_c_keeps_every_answer(opened: Say, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter("12\x03")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.getchar", lambda: next(keys))
    opened("work", "q", by="ann", code=130, as_json=False)
    assert given(place, "ann") == [("label", "red"), ("label", "green")]


def test_adjudicating_on_the_terminal(
    opened: Say, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    label_all(place, but="cyd")
    opened("close", "q")
    terminal(place, "ada", "1", "", monkeypatch=monkeypatch, session=settle_rows)  # no reason, no decision
    assert "a reason is needed" in capsys.readouterr().out
    terminal(place, "ada", "1", "guideline 4", monkeypatch=monkeypatch, session=settle_rows)
    assert "0 rows still disputed" in capsys.readouterr().out
