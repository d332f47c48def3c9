"""Label errors and models against people: rows go to review, and no label is changed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from label_desks import LABELS, at, labelled, queue

from tunesmith.core.errors import UserError
from tunesmith.core.types import Answer, Message
from tunesmith.data.label import checking, review
from tunesmith.data.label.functions import LabellingFunction, apply
from tunesmith.data.label.predictions import Prediction
from tunesmith.data.label.settle import gold, settle

TEXTS = ["one", "two", "three", "four"]


def planted(rows: int = 300, wrong: int = 15) -> tuple[list[str], list[str], set[int]]:
    """Texts whose words give the label away, labels, and which labels were exchanged for another."""
    chance = random.Random(0)
    words = {"yes": "increase benefit improved", "no": "nothing failed none", "maybe": "unclear mixed partly"}
    labels = [LABELS[n % 3] for n in range(rows)]
    texts = [
        " ".join(
            [*chance.choices(words[label].split(), k=2), *chance.choices(["alpha", "beta", "gamma", "delta"], k=4)]
        )
        for label in labels
    ]
    errors = set(chance.sample(range(rows), wrong))
    given = [
        chance.choice([x for x in LABELS if x != label]) if n in errors else label for n, label in enumerate(labels)
    ]
    return texts, given, errors


@pytest.mark.slow  # cleanlab takes seconds to import
def test_planted_errors_are_found() -> None:
    """15 of 300 labels are wrong and the words tell: at least 14 found, at most 2 false alarms."""
    pytest.importorskip("cleanlab", reason="needs cleanlab: pip install 'tunesmith[labels]'")
    texts, given, errors = planted()
    rows = [f"r{n}" for n in range(300)]
    shares_NK = review.out_of_sample(texts, given, LABELS, rows)
    found = review.suspicious(rows, given, shares_NK, LABELS)
    flagged = {int(each.row[1:]) for each in found}
    assert len(flagged & errors) >= 14 and len(flagged - errors) <= 2
    assert [each.rank for each in found] == list(range(1, len(found) + 1))
    assert [each.score for each in found] == sorted(each.score for each in found)
    assert all(each.label != each.suggested for each in found)


def test_a_row_is_judged_by_a_model_that_has_not_seen_it_nor_its_group() -> None:
    """Rows of one group share a word that gives the label away; out of sample that word is worth nothing."""
    chance = random.Random(1)
    given = [chance.choice(LABELS) for _ in range(120)]
    groups = [f"g{n}" for n in range(60) for _ in range(2)]
    same = [given[n - n % 2] for n in range(120)]
    texts = [f"{group} common words" for group in groups]
    shares_NK = review.out_of_sample(texts, same, LABELS, groups)
    right = np.mean([LABELS[int(k)] == label for k, label in zip(shares_NK.argmax(axis=1), same, strict=True)])
    assert right < 0.6  # by chance 0.33 to 0.45; a model that saw the twin would be right every time
    assert np.allclose(shares_NK.sum(axis=1), 1.0)


def test_labels_with_too_few_rows_are_told() -> None:
    with pytest.raises(UserError) as told:
        review.out_of_sample(["a"] * 8, ["yes"] * 6 + ["no"] * 2, LABELS, list("abcdefgh"))
    assert told.value.problems[0].code == "too-few-rows" and "no" in told.value.problems[0].message


def test_probabilities_of_ones_own_model_must_be_whole() -> None:
    whole = {"a": Prediction("yes", None, {"yes": 0.5, "no": 0.25, "maybe": 0.25})}
    assert review.of_file(whole, ["a"], LABELS).tolist() == [[0.5, 0.25, 0.25]]
    for rows, predictions in ((["a", "b"], whole), (["a"], {"a": Prediction("yes")})):
        with pytest.raises(UserError) as told:
            review.of_file(predictions, rows, LABELS)
        assert told.value.problems[0].code == "no-probabilities"


def test_a_model_that_differs_sends_rows_to_review_and_changes_no_label(tmp_path: Path) -> None:
    """People say y y n n; the model n y n y, most confident on the last: rank 1 is row four, rank 2 row one."""
    desk = labelled(queue(tmp_path, TEXTS), dict.fromkeys(("ann", "bob", "cyd"), "yynn"))
    before = gold(settle(desk.board))
    rows = desk.board.rows
    model = {
        row: Prediction(label, p)
        for row, label, p in zip(rows, ("no", "yes", "no", "yes"), (0.6, 0.9, 0.9, 0.8), strict=True)
    }
    told = checking.consistency(desk, model, model="m")
    assert (told["compared"], told["agreeing"], told["share"]) == (4, 2, 0.5)
    assert [each["row"] for each in told["differing"]] == [rows[3], rows[0]]
    assert gold(settle(desk.refresh())) == before
    assert [row for row, _ in desk.board.review()] == [rows[3], rows[0]]
    assert desk.open_round("review")["rows_in_round"] == 2
    labelled(desk, dict.fromkeys(("ann", "bob", "cyd"), "n..n"))
    assert desk.board.review() == []  # looked at again, whatever people said
    assert gold(settle(desk.board))[rows[3]] == "no"


class Model:
    """Answers by the first word of the text."""

    name = "fake"
    asked: Sequence[Sequence[Message]] = ()

    def answer(self, conversations: Sequence[Sequence[Message]], *, at_most_tokens: int) -> list[Answer]:
        Model.asked = conversations
        said = {"one": "Yes.", "two": " no", "three": "I cannot tell"}
        return [Answer(text=said.get(turns[-1].content, "maybe")) for turns in conversations]


def test_a_model_is_asked_the_question_without_the_answer(tmp_path: Path) -> None:
    """`Yes.` and ` no` are labels, `I cannot tell` is none; what is none is counted and not compared."""
    desk = labelled(queue(tmp_path, TEXTS), dict.fromkeys(("ann", "bob", "cyd"), "yyyy"))
    system = [Message(role="system", content="Answer.")]
    found, unreadable = checking.ask_model(desk, Model(), system)
    assert [found[row].label for row in desk.board.rows if row in found] == ["yes", "no", "maybe"]
    assert unreadable == 1
    assert all([turn.role for turn in turns] == ["system", "user"] for turns in Model.asked)


def test_before_people_have_settled_anything_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        checking.consistency(queue(tmp_path, TEXTS), {}, model="m")
    assert told.value.problems[0].code == "nothing-settled"


def test_rules_label_what_they_are_sure_of_and_people_the_rest(tmp_path: Path) -> None:
    """Rule engine, then experts: rows at the threshold or above carry the rule's label, the others are asked."""
    desk = queue(tmp_path, TEXTS)
    rows = desk.board.rows
    shares_NK = np.array([[0.95, 0.03, 0.02], [0.5, 0.4, 0.1], [np.nan] * 3, [0.1, 0.9, 0.0]])
    made = [LabellingFunction("t", lambda row: {"one": "yes", "two": "yes", "four": "no"}.get(row.messages[0].content))]
    votes = apply(made, desk.examples, LABELS)
    told = checking.save_rules(desk, votes, shares_NK, threshold=0.9, trusted=False)
    assert told == {"sure": 0, "unsure": 3, "silent": 1}  # nobody has shown yet that they are right
    told = checking.save_rules(desk, votes, shares_NK, threshold=0.9, trusted=True)
    assert told == {"sure": 2, "unsure": 1, "silent": 1}
    assert desk.open_round("unsure")["rows_in_round"] == 2
    ann = at(desk, "ann")
    row = ann.next()
    assert row is not None and row["text"] in ("two", "three") and "yes" not in str({**row, "labels": []})
    labelled(desk, dict.fromkeys(("ann", "bob", "cyd"), ".nn."))
    found = {each.row: each for each in settle(desk.board)}
    assert [(found[r].label, found[r].how) for r in rows] == [
        ("yes", "rule"),
        ("no", "unanimous"),
        ("no", "unanimous"),
        ("no", "rule"),
    ]
    assert found[rows[0]].by == ("t",) and found[rows[0]].probability == 0.95
    assert set(gold(settle(desk.board))) == set(rows[1:3])  # rules are not measured by what rules said
