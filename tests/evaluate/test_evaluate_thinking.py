"""What the report tells of the expert's reasoning, by hand, and that chains of others never become markup."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evaluate_fakes import FakeModel, colours, expert_artifact, profile_of, right_answers
from test_evaluate_stage import evaluated

from tunesmith.core.files import write_json
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Example, Expert, Message, Usage, example_id
from tunesmith.evaluate.report.curves import error_by_chance
from tunesmith.evaluate.report.page import all_texts, render
from tunesmith.evaluate.report.plots import figures
from tunesmith.evaluate.report.thinking import thinking
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.exact_match import ExactMatch
from tunesmith.evaluate.spec import EvaluateSpec
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.line import Line
from tunesmith.reason.paths.self_consistency import SelfConsistency

EVIL = "<script>alert(3)</script>"


def chain(said: str | None, *, unscored: str = "", against: str = "", text: str = "") -> Chain:
    findings = (Finding(check=against, verdict="against", detail="2 + 2 = 5: it is 4"),) if against else ()
    answer = Answer(text=text or said or "", usage=Usage(answer_tokens=7, reasoning_tokens=3))
    return Chain(answer=answer, source="direct", conclusion=said, unscored=unscored, findings=findings)


def row(number: int, chains: Sequence[Chain], conclusion: str | None, probability: float) -> Row:
    """A question whose answer is 5."""
    messages = (Message(role="user", content=f"Question {number}?"), Message(role="assistant", content="5"))
    example = Example(id=example_id(messages, None), messages=messages, split="test", place=f"q.csv:{number}")
    evidence = {
        "chains": [one.model_dump(mode="json") for one in chains],
        "fused": {"conclusion": conclusion, "probability": probability},
    }
    answer = Answer(text=conclusion or "", evidence=evidence, confidence=probability)
    return Row(example, answer, {"exact_match": ExactMatch().score(example, answer)})


ROWS = [
    row(1, [chain("7"), chain("5"), chain("5")], "5", 0.9),
    row(2, [chain("5", against="premises")], "5", 0.8),
    row(3, [chain(None, unscored="loop", text="so so so so"), chain("7", against="arithmetic")], "7", 0.4),
]


def told(rows: Sequence[Row] = ROWS, expert: Expert | None = None) -> dict[str, Any]:
    scorer = ("exact_match", ExactMatch())
    return thinking(rows, expert or expert_artifact(), scorer=scorer, level=0.95)


def test_votes_of_the_first_chains_by_hand() -> None:
    """One chain: only row 2 is right, 10 tokens each. Two: 7 leads row 1 as the first drawn. Three: the 5 has it."""
    points = told()["vote"]
    assert [(p["chains"], p["right"]) for p in points] == [
        (1, pytest.approx(1 / 3)),
        (2, pytest.approx(1 / 3)),
        (3, pytest.approx(2 / 3)),
    ]
    assert [p["tokens"] for p in points] == [10, pytest.approx(50 / 3), 20]
    expert = told()["expert"]
    assert (expert["tokens"], expert["right"]) == (20, pytest.approx(2 / 3))
    assert expert["low"] < 2 / 3 < expert["high"]


def test_the_calibration_error_by_hand() -> None:
    """Stated 0.9, 0.8 and right, 0.4 and wrong: (0.1 + 0.2 + 0.4) / 3."""
    found = told()
    assert found["calibration_error"] == pytest.approx(0.7 / 3)
    assert [(b["confidence"], b["right"]) for b in found["reliability"]] == [(0.4, 0), (0.8, 1), (0.9, 1)]


def test_perfect_probabilities_have_an_error_by_chance() -> None:
    """One row stated at 0.5 is always 0.5 off; of 10,000 the share is off by 0.8 sd / 100 = 0.004."""
    assert error_by_chance([0.5]) == 0.5
    assert error_by_chance([0.5] * 10_000) == pytest.approx(0.004, abs=0.001)


def test_chains_are_counted_by_what_is_wrong_with_them() -> None:
    found = {(fault["kind"], fault["detail"]): fault for fault in told()["faults"]}
    assert list(found) == [
        ("unscored", "loop"),
        ("unnoticed", ""),
        ("caught", "arithmetic"),
        ("false_alarm", "premises"),
    ]
    assert {(fault["chains"], fault["rows"]) for fault in found.values()} == {(1, 1)}
    (example,) = found["caught", "arithmetic"]["examples"]
    assert (example["prompt"], example["conclusion"], example["reference"]) == ("Question 3?", "7", "5")
    assert example["objections"] == ["2 + 2 = 5: it is 4"]
    assert found["unscored", "loop"]["examples"][0]["written"] == "so so so so"


def test_rows_without_chains_are_none_and_rows_that_cannot_be_scored_are_counted() -> None:
    bare = [one.__class__(one.example, Answer(text="5"), one.scores) for one in ROWS]
    assert told(bare) == {}
    unscored = Row(ROWS[0].example, ROWS[0].answer, {})
    assert (told([*ROWS, unscored])["rows"], told([*ROWS, unscored])["left_out"]) == (3, 1)


def test_replayed_validation_rows_are_read_from_the_expert(tmp_path: Path) -> None:
    point = {"chains": 2, "right": [True, False], "tokens": [10, 30]}
    write_json(tmp_path / "replayed.json", {"rows": 2, "ways": {"settled": [point]}, "settled": {"differ": 1}})
    expert = expert_artifact().model_copy(update={"folder": tmp_path, "reasoning": {"paths": {"differ": 0.1}}})
    found = told(expert=expert)["replayed"]
    (settled,) = found["ways"]["settled"]
    assert (settled["chains"], settled["tokens"], settled["right"]) == (2, 20, 0.5)
    assert found["settled"] == {"differ": 1, "promised": 0.1}
    assert told()["replayed"] == {}


class Reasoning(FakeModel):
    """Draws three chains a question, the second one wrong and full of markup."""

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        line = Line(SelfConsistency(draws=3), conclude="label", options=("red", "green", "blue"))
        found = []
        for one in super().answer(conversations, at_most_tokens=at_most_tokens):
            wrong = one.model_copy(update={"text": "blue" if one.text != "blue" else "red", "reasoning": EVIL})
            found.append(line.answer([line.chain([], said, "direct") for said in (one, wrong, one)]))
        return found


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, rows = tmp_path_factory.mktemp("thinking"), colours(30)
    expert = Reasoning("expert", right_answers(rows))
    spec = EvaluateSpec(resamples=100, latency_rows=0, likelihood_rows=0)
    evaluated(folder, expert=expert, rows=rows, profile=profile_of(), spec=spec)
    found: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return found


def test_the_page_has_the_section_in_both_languages_and_no_markup_of_chains(content: dict[str, Any]) -> None:
    """Of 90 chains 30 are wrong, and no check looked; the vote of three is always right."""
    (fault,) = content["thinking"]["faults"]
    assert (fault["kind"], fault["chains"], fault["rows"]) == ("unnoticed", 30, 30)
    assert content["thinking"]["vote"][-1]["right"] == 1.0
    for language, title in (("en", "How the expert reasons"), ("zh", "专家模型如何推理")):
        page = re.sub(r"<span[^>]*>|</span>", "", render({**content, "language": language}))
        assert title in page and "&lt;script&gt;alert(3)" in page and "<script>alert" not in page
    drawn = figures(content, all_texts()["en"])
    assert {"effort", "honesty"} <= set(drawn)
    assert [series["name"] for series in drawn["effort"]["data"] if "name" in series] == [
        "vote of n chains, held-out rows",
        "the expert as it answered",
    ]
