"""Negatives and conversations of several turns: what is wrong must be wrong, what is right must stay."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from augment_fakes import context, row
from tunesmith.core.protocols import Maker
from tunesmith.core.types import Drop, Example
from tunesmith.data.augment._context import taken_apart, terms, things
from tunesmith.data.augment._wrong import Pool, other_label, other_number
from tunesmith.data.augment.multi_turn import MultiTurn
from tunesmith.data.augment.negatives import Negatives

SEEDS = range(40)
TEXT = ("The trial compared two insulins in people with diabetes. " * 5).strip()


def children(maker: Maker, rows: list[Example], folder: Path) -> list[Example]:
    return [new for new in maker.make(rows, context(folder)) if isinstance(new, Example)]


def test_another_label_stands_where_the_right_one_stood() -> None:
    labels = ["yes", "no", "maybe"]
    assert {other_label("yes", "yes", labels, random.Random(s)) for s in SEEDS} == {"no", "maybe"}
    assert {other_label("It is yes.", "yes", ["yes", "no"], random.Random(s)) for s in SEEDS} == {"It is no."}
    assert other_label("yes or yes", "yes", labels, random.Random(1)) == ""  # which of them?
    assert other_label("It is so.", "yes", labels, random.Random(1)) == ""
    assert other_label("red", "red", labels, random.Random(1)) == ""


def test_one_number_is_changed_and_written_as_before() -> None:
    """12 becomes 13, 11, 14, 120, 1 (a tenth, rounded) or 21; 2.5 becomes 2.6, 2.4, 2.7, 25.0 or 0.2."""
    assert {other_number("It took 12 days", random.Random(s)) for s in SEEDS} == {
        f"It took {n} days" for n in (13, 11, 14, 120, 1, 21)
    }
    assert {other_number("2.5 mg", random.Random(s)) for s in SEEDS} == {
        f"{n} mg" for n in (2.6, 2.4, 2.7, "25.0", 0.2)
    }
    assert "12,000 DM" in {other_number("1,200 DM", random.Random(s)) for s in SEEDS}
    assert other_number("1. first\n2. second", random.Random(1)) == ""  # a list
    assert other_number("no number, only B12 and v2.x", random.Random(1)) == ""


def test_a_wrong_answer_comes_from_another_group_of_the_same_topic_and_length() -> None:
    own = row("What lowers cholesterol in diabetes?", "Statins lower it in most people.", group="a")
    same_group = row("What lowers cholesterol fastest?", "Nothing works overnight for anyone.", group="a")
    near = row("What raises cholesterol in adults?", "Butter and other animal fats do so.", group="b")
    far = row("Where do penguins nest in winter?", "On ice, far from the open water.", group="c")
    long = row("What about cholesterol in the elderly then?", "It is a long story. " * 20, group="d")
    pool = Pool()
    for each in (own, same_group, near, far, long):
        pool.add(each)
    assert {pool.other_answer(own, random.Random(s)) for s in SEEDS} == {near.reference}


def test_an_answer_that_could_be_right_too_is_no_wrong_answer() -> None:
    own = row("What lowers cholesterol?", "Statins lower it in most people.", group="a")
    pool = Pool()
    pool.add(row("What is prescribed against high lipids?", "Statins lower it in most people!", group="b"))
    assert pool.other_answer(own, random.Random(1)) == ""


def test_pairs_of_a_closed_set(tmp_path: Path) -> None:
    rows = [row(f"Is case {n} ill?", label, target=label) for n, label in enumerate(["yes", "no"] * 5)]
    made = children(Negatives(copies=3), rows, tmp_path)
    assert len(made) == 10
    for new, parent in zip(made, rows, strict=True):
        assert new.messages == parent.messages and new.target == parent.target
        assert new.rejected is not None and {new.rejected.content, parent.reference} == {"yes", "no"}
        assert new.attributes == {"negative": "labels"}


def test_a_question_and_its_text_are_taken_apart() -> None:
    found = taken_apart(f"{TEXT}\n\nQuestion: Does insulin harm?")
    assert found is not None
    assert (found.context, found.question) == (TEXT, "Does insulin harm?")
    assert found.about("Other.") == "Other.\n\nQuestion: Does insulin harm?"
    first = taken_apart(f"Does insulin harm?\n{TEXT}")
    assert first is not None and first.context == TEXT
    assert taken_apart("Does insulin harm?") is None  # no text
    assert taken_apart(f"Is it so? {TEXT} Does insulin harm?") is None  # the text asks too
    assert terms("Does smoking harm the surgical recovery?") == ["recovery", "surgical", "smoking"]
    assert things("Does smoking harm the surgical recovery?") == ["recovery"]


def test_a_refusal_names_what_the_other_text_does_not_have(tmp_path: Path) -> None:
    one = row(f"{TEXT}\nDoes insulin change recovery?", "It does so slowly.", group="a")
    two = row(
        "Nurses asked 40 smokers about their habits on the ward. " * 5 + "\nWhy do they cough?", "Tar.", group="b"
    )
    made = children(Negatives(kinds=("refusals",)), [one, two], tmp_path)
    (new,) = [each for each in made if each.parent == one.id]
    assert new.messages[0].content.startswith("Nurses asked") and new.messages[0].content.endswith("change recovery?")
    assert "recovery" in new.messages[1].content and "insulin" in new.messages[1].content
    assert new.target is None and new.attributes == {"negative": "refusals"}


def test_counterfactuals_follow_the_rules_and_nothing_else(tmp_path: Path) -> None:
    """`he` and `she` take each other's place in text and attributes; the age moves by at most 5, and does move."""
    maker = Negatives(kinds=("counterfactuals",), swap=(("he", "she"), ("male", "female")), shift={"age": 5})
    parent = row("He is male, age 40, there since 40. Is he a risk?", "good", target="good", attributes={"sex": "male"})
    plain = row("Nobody else is a risk.", "good", target="good")
    (new,) = children(maker, [parent, plain], tmp_path)
    age = int(new.messages[0].content.split("age ")[1].split(",")[0])
    assert new.messages[0].content == f"She is female, age {age}, there since 40. Is she a risk?"
    assert 35 <= age <= 45 and age != 40
    assert new.attributes == {"sex": "female", "negative": "counterfactuals"} and new.target == "good"


def test_an_answer_with_a_word_that_is_exchanged_is_a_drop(tmp_path: Path) -> None:
    maker = Negatives(kinds=("counterfactuals",), swap=(("he", "she"),))
    (drop,) = maker.make([row("Is he ill?", "He is.")], context(tmp_path))
    assert isinstance(drop, Drop) and (drop.reason, drop.step) == ("answer-names-it", "negatives")


@pytest.mark.parametrize("change", [{"rejected": True}, {"reasoning": "So."}])
def test_rows_that_cannot_be_the_better_half_have_no_pair(tmp_path: Path, change: dict[str, object]) -> None:
    parent = row("How many?", "12 of them.")
    if "rejected" in change:
        parent = parent.model_copy(update={"rejected": parent.messages[1].model_copy(update={"content": "13"})})
    else:
        turns = (parent.messages[0], parent.messages[1].model_copy(update=change))
        parent = parent.model_copy(update={"messages": turns})
    assert children(Negatives(kinds=("numbers",)), [parent], tmp_path) == []


def test_rows_of_a_group_become_one_conversation_with_the_last_ones_answer(tmp_path: Path) -> None:
    rows = [row(f"What of case {n}?", f"It is {n}.", group="g", target=f"{n}") for n in range(4)]
    other = row("What of case 9?", "It is 9.", group="h")
    made = children(MultiTurn(turns=3), [rows[0], other, *rows[1:]], tmp_path)
    assert [new.parent for new in made] == [each.id for each in rows[1:]]  # the first one has nothing before it
    last = made[-1]
    assert [turn.content for turn in last.messages if turn.role == "assistant"] == ["It is 1.", "It is 2.", "It is 3."]
    assert [t.content for t in last.messages if t.role == "user"][:2] == ["What of case 1?", "What of case 2?"]
    assert last.messages[-2].content.endswith("What of case 3?") and last.target == "3"
    assert last.group == "g" and last.attributes == {"conversation": "follow_up"}


def test_without_groups_a_long_word_that_both_have_is_the_topic(tmp_path: Path) -> None:
    asked = ["Is pneumonia contagious?", "Is bronchitis contagious?", "Does pneumonia hurt?"]
    rows = [row(question, f"Answer {n}.") for n, question in enumerate(asked)]
    made = children(MultiTurn(kinds=("follow_up",), turns=2), rows, tmp_path)
    assert [new.parent for new in made] == [rows[1].id, rows[2].id]
    assert [new.messages[0].content for new in made] == [asked[0], asked[0]]  # contagious, pneumonia


def test_a_conversation_that_would_be_too_long_is_not_made(tmp_path: Path) -> None:
    rows = [row(f"What of case {n}? " + "x" * 60, "So.", group="g") for n in range(2)]
    assert children(MultiTurn(characters=100), rows, tmp_path) == []


def test_the_text_comes_after_it_was_asked_for(tmp_path: Path) -> None:
    parent = row(f"{TEXT}\n\nQuestion: Does insulin harm?", "no", target="no")
    (new,) = children(MultiTurn(), [parent], tmp_path)
    assert [turn.role for turn in new.messages] == ["user", "assistant", "user", "assistant"]
    assert new.messages[0].content == "Does insulin harm?" and new.messages[2].content.endswith(TEXT)
    assert new.messages[3] == parent.messages[1] and new.target == "no"
