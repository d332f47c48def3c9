"""The judge: order does not win, equal answers are not asked, people are what it is held against."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from evaluate_fakes import FakeModel

from tunesmith.core.errors import UserError
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Example, Likelihood, Message
from tunesmith.evaluate.judge import Judgement, human_labels, judge_measures, judge_pairs
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import Sampling

QUICK = Sampling(resamples=200)


@dataclass
class Judge(FakeModel):
    """Likes the answer with the word `good`; where neither or both have it, the first."""

    broken: bool = False

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        found = []
        for conversation in conversations:
            first, _, second = conversation[-1].content.partition("Answer A:")[2].partition("Answer B:")
            lead = ("good" in first) - ("good" in second) or 0.5
            logs = (-math.inf, 0.0) if self.broken else (lead, 0.0)
            found.append([Likelihood(log_probability=log, tokens=1) for log in logs])
        return found


def rows(texts: Sequence[str]) -> list[Row]:
    made = []
    for n, text in enumerate(texts):
        messages = (Message(role="user", content=f"q {n}"), Message(role="assistant", content="r"))
        made.append(Row(Example(id=f"ex-{n}", messages=messages), Answer(text=text)))
    return made


def test_an_answer_wins_only_in_both_places() -> None:
    """The expert has the word in the first, the base in the second; the third is decided by the order alone, the fourth
    pair is equal."""
    ours, theirs = rows(["good", "x", "x", "same"]), rows(["x", "good", "y", "same "])
    judged = judge_pairs(Judge("judge", {}), ours, theirs, "Be fair.")
    assert [(j.winner, j.swayed) for j in judged] == [
        ("expert", False),
        ("base", False),
        ("undecided", True),
        ("undecided", False),
    ]


def test_a_judge_that_cannot_tell_leaves_the_pair_unscored() -> None:
    judged = judge_pairs(Judge("judge", {}, broken=True), rows(["a"]), rows(["b"]), "")
    measures, counts = judge_measures(judged, {}, QUICK)
    assert [m.value for m in measures] == [None, None, None]
    assert counts["unscored"] == 1


def test_measures_by_hand() -> None:
    """Eight won, two lost, two undecided (one swayed): (8 + 1) / 12; 11 of 12 steady. People agree on 3 of 4:
    expected agreement 3/4 * 2/4 + 1/4 * 2/4 = 1/2, kappa (3/4 - 1/2) / (1/2) = 1/2."""
    words = ["expert"] * 8 + ["base"] * 2 + ["undecided"] * 2
    judged = [Judgement(f"r{n}", f"r{n}", w, swayed=n == 11) for n, w in enumerate(words)]  # type: ignore[arg-type]
    human = {"r0": "expert", "r1": "expert", "r2": "base", "r8": "base", "elsewhere": "base"}
    measures, counts = judge_measures(judged, human, QUICK)  # type: ignore[arg-type]
    found = {m.name: m for m in measures}
    assert found["judge_wins"].value == pytest.approx(9 / 12)
    assert found["judge_wins"].p is not None and 0.05 < found["judge_wins"].p < 0.2  # 2 * 56 / 2^10 = 0.109
    assert found["judge_consistency"].value == pytest.approx(11 / 12)
    assert (found["judge_agreement"].value, found["judge_agreement"].n) == (0.75, 4)
    assert counts["kappa"] == pytest.approx(0.5)
    assert counts["winners"] == {"expert": 8, "base": 2, "undecided": 2}


def test_without_people_there_is_no_agreement_and_not_one_of_zero() -> None:
    judged = [Judgement("a", "a", "expert"), Judgement("b", "b", "base")]
    found = {m.name: m.value for m in judge_measures(judged, {}, QUICK)[0]}
    assert found["judge_agreement"] is None and found["judge_wins"] == 0.5


def test_labels_of_people_are_read_and_bad_ones_told(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text(json.dumps({"id": "a", "winner": "base"}) + "\n")
    (tmp_path / "odd.jsonl").write_text(json.dumps({"id": "a", "winner": "me"}) + "\n")
    (tmp_path / "bad.jsonl").write_text("[]\n")
    assert human_labels("good.jsonl", tmp_path) == {"a": "base"} and human_labels(None, tmp_path) == {}
    for name, code in (("odd.jsonl", "bad-labels"), ("bad.jsonl", "bad-labels"), ("none", "missing-file")):
        with pytest.raises(UserError) as told:
            human_labels(name, tmp_path)
        assert told.value.problems[0].code == code
