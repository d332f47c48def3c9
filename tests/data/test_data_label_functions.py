"""Labelling functions: what they say, what they may cost, and what is reported of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from label_desks import LABELS, example

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example
from tunesmith.data.label import functions, weak
from tunesmith.data.label.functions import LabellingFunction, apply, import_functions, of_predictions, read_rules
from tunesmith.data.label.predictions import Prediction, read_predictions

SOURCES = Path(functions.__file__).parents[2]
ROWS = {made.id: made for made in map(example, ["It works well", "no effect", "NO EFFECT; it works", "效果不明显", ""])}


def said(made: list[LabellingFunction]) -> list[list[str | None]]:
    """Per function, what it says of every row."""
    votes = apply(made, ROWS, LABELS)
    return [[LABELS[k] if k >= 0 else None for k in column] for column in votes.votes_NM.T]


def rules(folder: Path, content: object) -> list[LabellingFunction]:
    file = folder / "rules.yaml"
    file.write_text(json.dumps(content), "utf-8")
    return read_rules(file, LABELS)


def codes(action: object) -> list[str]:
    with pytest.raises(UserError) as told:
        action()  # type: ignore[operator]
    return [problem.code for problem in told.value.problems]


def test_keywords_are_whole_words_in_any_case_and_chinese_anywhere(tmp_path: Path) -> None:
    made = rules(
        tmp_path,
        [
            {"name": "effect", "keyword": ["no effect"], "label": "no"},
            {"name": "part", "keyword": ["work"], "label": "yes"},
            {"name": "chinese", "keyword": "不明显", "label": "no"},
        ],
    )
    assert said(made) == [
        [None, "no", "no", None, None],
        [None] * 5,  # "works" is another word than "work"
        [None, None, None, "no", None],
    ]


def test_a_regular_expression(tmp_path: Path) -> None:
    made = rules(tmp_path, [{"name": "works", "regex": r"(?i)\bworks?\b", "label": "yes"}])
    assert said(made) == [["yes", None, "yes", None, None]]


def test_an_expression_that_backtracks_costs_its_time_limit_and_no_more(tmp_path: Path) -> None:
    """`(a|aa)+$` on 60 a's and a b takes years; here 0.05 s a row, and after 20 rows it is not asked any more."""
    made = rules(tmp_path, [{"name": "evil", "regex": "^(a|aa)+$", "label": "yes", "seconds": 0.05}])
    rows = {x.id: x for x in (example("a" * (60 + n) + "b") for n in range(60))}
    started = time.process_time()
    votes = apply(made, rows, LABELS)
    assert time.process_time() - started < 10
    assert votes.failures == {"evil": {"took too long": 20}} and votes.stopped == ("evil",)
    assert (votes.votes_NM == -1).all()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, "wrong-format"),
        ([], "wrong-format"),
        ("x", "wrong-format"),
        ([{"name": "x", "regex": "(", "label": "yes"}], "broken-regex"),
        ([{"name": "x", "regex": "a" * 3000, "label": "yes"}], "wrong-type"),
        ([{"name": "x", "keyword": ["a"], "label": "yess"}], "unknown-label"),
        ([{"name": "x", "keyword": [], "label": "yes"}], "wrong-type"),
        ([{"name": "x", "keywrd": ["a"], "label": "yes"}], "unknown-key"),
        ([7], "wrong-type"),
    ],
)
def test_everything_wrong_with_a_rules_file_is_told(tmp_path: Path, content: object, code: str) -> None:
    assert code in codes(lambda: rules(tmp_path, content))


@pytest.mark.parametrize("content", [b"\xff\xff", b"- [", b"!!python/object/apply:os.system [ls]", b"a: 1\na: 2", b""])
def test_a_rules_file_that_is_no_plain_yaml_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(content)
    assert codes(lambda: read_rules(file, LABELS))[0] in ("broken-yaml", "wrong-format")
    assert codes(lambda: read_rules(tmp_path / "none.yaml", LABELS)) == ["missing-file"]


PYTHON = """
from dataclasses import dataclass
from json import dumps  # imported: no labelling function

@dataclass
class Words:
    yes: str = "works"

def works(row):
    return "yes" if Words().yes in row["text"] else None

def breaks(row):
    return {}["nothing"]

def lies(row):
    return "perhaps"

def _helper(row):
    return "yes"
"""


def test_functions_of_a_python_file_and_what_fails_in_them(tmp_path: Path) -> None:
    """Public functions that the file defines; one that fails, or says no label, has nothing to say and is counted."""
    file = tmp_path / "mine.py"
    file.write_text(PYTHON, "utf-8")
    made = import_functions(file)
    assert [function.name for function in made] == ["works", "breaks", "lies"]
    votes = apply(made, ROWS, LABELS)
    assert said(made)[0] == ["yes", None, "yes", None, None]
    assert votes.failures["breaks"] == {"KeyError: 'nothing'": 5}
    assert votes.failures["lies"] == {"said perhaps, which is not one of the labels": 5}


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("def f(:", "broken-functions", 1),
        ("\n\nraise ValueError('x')", "broken-functions", 3),
        ("import sys\nsys.exit(0)", "broken-functions", 2),
        ("import nothing_of_that_name", "broken-functions", 1),
        ("x = 1", "no-functions", None),
    ],
)
def test_a_python_file_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, content: str, code: str, line: int | None
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(content, "utf-8")
    with pytest.raises(UserError) as told:
        import_functions(file)
    assert [(p.code, p.line) for p in told.value.problems] == [(code, line)]


def test_a_function_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_SECONDS", 0.05)
    monkeypatch.setattr(functions, "_MOST_FAILURES", 2)
    file = tmp_path / "mine.py"
    file.write_text("def forever(row):\n    while True:\n        pass\n", "utf-8")
    votes = apply(import_functions(file), ROWS, LABELS)
    assert votes.failures == {"forever": {"took too long": 2}} and votes.stopped == ("forever",)


def test_a_python_file_is_run_by_one_command_only() -> None:
    """`tunesmith label rules --functions FILE`, and nothing that a project file could reach."""
    sources = {path.name: path.read_text("utf-8") for path in SOURCES.rglob("*.py")}
    assert {name for name, text in sources.items() if "import_functions(" in text} == {"functions.py", "labelling.py"}


def test_two_functions_of_one_name_and_none_at_all_are_told() -> None:
    twice = [LabellingFunction("x", lambda row: None)] * 2
    assert codes(lambda: apply(twice, ROWS, LABELS)) == ["same-name"]
    assert codes(lambda: apply([], ROWS, LABELS)) == ["no-functions"]


def test_predictions_of_a_model(tmp_path: Path) -> None:
    first, second = list(ROWS)[:2]
    file = tmp_path / "model.jsonl"
    lines = [
        {"row": first, "label": "yes", "probability": 0.7},
        {"id": second, "probabilities": {"yes": 0.2, "no": 0.7, "maybe": 0.1}},
        {"row": "ex-elsewhere", "label": "no"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found = read_predictions(file, LABELS, ROWS)
    assert found[first] == Prediction("yes", 0.7)
    assert (found[second].label, found[second].probability) == ("no", 0.7)
    assert said([of_predictions("model", found)]) == [["yes", "no", None, None, None]]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"row": "R", "label": "yess"}', "unknown-label"),
        ('{"row": "R"}', "unknown-label"),
        ('{"row": "R", "label": ["yes"]}', "unknown-label"),
        ('{"row": "R", "label": "yes", "probability": 2}', "wrong-value"),
        ('{"row": "R", "label": "yes", "probability": true}', "wrong-value"),
        ('{"row": "R", "probabilities": [0.1]}', "wrong-value"),
        ('{"row": "R", "probabilities": {"yes": "x"}}', "wrong-value"),
        ('{"row": "R", "probabilities": {"other": 0.5}}', "unknown-label"),
        ('{"row": "other", "label": "yes"}', "no-rows"),
        ("{", "broken-json"),
        ("[1]", "not-an-object"),
    ],
)
def test_a_predictions_file_that_cannot_be_used_is_told(tmp_path: Path, line: str, code: str) -> None:
    file = tmp_path / "model.jsonl"
    file.write_text(line.replace('"R"', json.dumps(next(iter(ROWS)))), "utf-8")
    assert codes(lambda: read_predictions(file, LABELS, ROWS)) == [code]


def table(*columns: str) -> functions.Votes:
    """Votes of functions A, B, ...: y, n, m or `.` for each row."""
    place = {"y": 0, "n": 1, "m": 2, ".": -1}
    votes_NM = np.array([[place[letter] for letter in column] for column in columns]).T
    rows = tuple(str(n) for n in range(len(votes_NM)))
    return functions.Votes(tuple("ABCDE"[: len(columns)]), rows, votes_NM, {}, ())


def test_coverage_overlap_conflict_and_accuracy_by_hand() -> None:
    """Four rows. A speaks on three, B on two of them and once differently; people labelled rows 0 and 1 yes.

    A: coverage 3/4, overlap 2/4, conflict 1/4, right on row 0 and wrong on row 1. B: 2/4, 2/4, 1/4, right on row 0.
    """
    votes = table("ynm.", "y.n.")
    first, second = weak.reports(votes, LABELS, {"0": "yes", "1": "yes"})
    assert (first.coverage, first.overlap, first.conflict, first.accuracy, first.gold) == (0.75, 0.5, 0.25, 0.5, 2)
    assert (second.coverage, second.overlap, second.conflict, second.accuracy, second.gold) == (0.5, 0.5, 0.25, 1.0, 1)
    assert first.labels == ("yes", "no", "maybe")
    assert weak.reports(votes, LABELS, {})[0].accuracy is None


def test_majority_shares_by_hand_and_silence_stays_unknown() -> None:
    found = weak.probabilities(table("yn.", "yy.", "n..").votes_NM, 3, model="majority")
    assert np.allclose(found[0], [2 / 3, 1 / 3, 0]) and np.allclose(found[1], [0.5, 0.5, 0])
    assert np.isnan(found[2]).all()
    assert np.isnan(weak.probabilities(np.full((3, 2), -1), 3)).all()


@pytest.mark.parametrize(
    ("right", "rows", "trusted"),
    [(19, 19, False), (20, 20, True), (17, 20, True), (12, 20, False), (170, 200, False), (180, 200, True)],
)
def test_rules_are_trusted_where_people_have_shown_it(right: int, rows: int, trusted: bool) -> None:
    """Threshold 0.9. Wilson's upper ends: 17 of 20 0.948, 12 of 20 0.781, 170 of 200 0.893; 19 rows are too few."""
    best = {str(n): ("yes", 0.95) for n in range(rows)} | {"low": ("yes", 0.5)}
    gold = {str(n): "yes" if n < right else "no" for n in range(rows)} | {"low": "no"}
    found = weak.trust(best, gold, threshold=0.9)
    assert (found.gold, found.right, found.trusted) == (rows, right, trusted)


def weak_votes(rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two labels, five functions: accuracies 0.9, 0.8, 0.65, 0.6, 0.6, each silent on half of the rows."""
    chance = np.random.default_rng(seed)
    truth_N = chance.integers(0, 2, rows)
    accuracy_M = np.array([0.9, 0.8, 0.65, 0.6, 0.6])
    right_NM = chance.random((rows, 5)) < accuracy_M
    votes_NM = np.where(right_NM, truth_N[:, None], 1 - truth_N[:, None])
    return np.where(chance.random((rows, 5)) < 0.5, -1, votes_NM), truth_N


def right(votes_NM: np.ndarray, truth_N: np.ndarray, model: weak.LabelModel) -> float:
    shares_NK = weak.probabilities(votes_NM, 2, model=model)
    voted_N = ~np.isnan(shares_NK[:, 0])
    first_N = shares_NK[voted_N]
    half_N = np.isclose(first_N[:, 0], first_N[:, 1])  # a tie is right half of the time
    return float(np.where(half_N, 0.5, first_N.argmax(axis=1) == truth_N[voted_N]).mean())


def test_the_label_model_beats_counting_votes() -> None:
    votes_NM, truth_N = weak_votes(3000, seed=0)
    assert right(votes_NM, truth_N, "dawid_skene") > right(votes_NM, truth_N, "majority") + 0.02


@pytest.mark.slow
def test_snorkel_beats_counting_votes_too_and_leaves_random_states_alone() -> None:
    pytest.importorskip("snorkel", reason="needs snorkel: pip install 'tunesmith[labels]'")
    import torch

    votes_NM, truth_N = weak_votes(3000, seed=0)
    torch.manual_seed(7)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert right(votes_NM, truth_N, "snorkel") > right(votes_NM, truth_N, "majority") + 0.02
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]


def test_snorkel_needs_three_functions() -> None:
    assert codes(lambda: weak.probabilities(table("yn", "yy").votes_NM, 3, model="snorkel")) == ["too-few-functions"]


def test_rows_are_given_to_functions_without_their_answer(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def spy(row):\n    return 'yes' if 'SECRET' in str(row) else None\n", "utf-8")
    assert said(import_functions(file)) == [[None] * 5]
    assert isinstance(next(iter(ROWS.values())), Example)
