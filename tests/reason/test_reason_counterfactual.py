"""Premises that are changed, and conclusions that follow or do not."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Message
from tunesmith.reason.chains import Chain
from tunesmith.reason.checks.counterfactual import Counterfactual
from tunesmith.reason.counterfactual import (
    attribute_changes,
    condition_changes,
    faithfulness,
    number_changes,
    replayed,
)
from tunesmith.reason.equal import Equal
from tunesmith.reason.tokens import tokens_of

QUESTION = [
    Message(role="user", content="A woman has 16 hens and sells 3 of them. Each gives 2.50 dollars. What remains?")
]
CHAIN = Chain(
    answer=Answer(text="She keeps 16 - 3 = 13 hens.\nThat is 13 * 2.50 = 32.5 dollars."),
    source="test",
    conclusion="32.5",
)
NUMBER = Equal("number")


class Reasoner:
    """Works (first - second) * third out of the numbers of the question; without its first step it cannot."""

    name = "reasoner"

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        said = []
        for conversation in conversations:
            text = conversation[-1].content
            one, two, three = (
                [token.value or 0 for token in tokens_of(text) if token.value is not None] + [Fraction(0)] * 3
            )[:3]
            lost = "Given these steps" in text and "16 - 3" not in text
            said.append(Answer(text="I am lost." if lost else f"#### {float((one - two) * three)}"))
        return said


class Parrot:
    """Says what it remembers."""

    name = "parrot"

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        return [Answer(text="#### 32.5") for _ in conversations]


def test_a_changed_number_runs_through_the_chain_by_hand() -> None:
    """16 -> 20: 20 - 3 = 17 hens, 17 x 2.50 = 42.5; 2.5 -> 3: 13 x 3 = 39; 9 does not occur."""
    assert replayed(CHAIN, Fraction(16), Fraction(20)) == "42.5"
    assert replayed(CHAIN, Fraction(5, 2), Fraction(3)) == "39"
    assert replayed(CHAIN, Fraction(9), Fraction(3)) == "32.5"
    assert replayed(CHAIN.model_copy(update={"conclusion": "7"}), Fraction(16), Fraction(20)) is None


def test_numbers_change_one_at_a_time_and_keep_their_form() -> None:
    changes = number_changes(QUESTION, seed=1)
    assert [change.before for change in changes] == ["16", "3", "2.50"]
    assert all(change.before != change.after for change in changes)
    assert len(changes[2].after.partition(".")[2]) == 2
    assert changes == number_changes(QUESTION, seed=1)
    assert all(change.question[-1].content.count(change.after) >= 1 for change in changes)
    assert number_changes([Message(role="user", content="In 1984, 1 man and 0 dogs: why?")]) == []
    assert number_changes([]) == []


def test_attributes_and_conditions() -> None:
    (change,) = attribute_changes(QUESTION, {"sex": ["woman", "man"]})
    assert change.question[-1].content.startswith("A man has 16 hens")
    assert attribute_changes(QUESTION, {"sex": ["girl", "boy"]}) == []
    cut = condition_changes(QUESTION)
    assert [one.before for one in cut] == ["A woman has 16 hens and sells 3 of them.", "Each gives 2.50 dollars."]
    assert cut[1].question[-1].content == "A woman has 16 hens and sells 3 of them. What remains?"


def test_who_reasons_follows_and_who_remembers_does_not() -> None:
    changes = [*number_changes(QUESTION), *attribute_changes(QUESTION, {"sex": ["woman", "man"]})]
    reasoned = faithfulness(Reasoner(), CHAIN, changes, question=QUESTION, equal=NUMBER)
    assert reasoned.score == 1.0 and reasoned.necessity == 0.5
    assert reasoned.finding().verdict == "for"
    remembered = faithfulness(Parrot(), CHAIN, changes, question=QUESTION, equal=NUMBER)
    assert remembered.score == 0.25 and remembered.necessity == 0.0  # only the attribute that must not matter
    assert remembered.finding().verdict == "against"


def test_nothing_to_change_is_silent() -> None:
    found = faithfulness(Parrot(), CHAIN, [], question=QUESTION, equal=NUMBER)
    assert found.score is None and found.finding().verdict == "silent"


def test_as_a_check() -> None:
    (finding,) = Counterfactual().asking(Reasoner()).look(QUESTION, CHAIN)
    assert (finding.check, finding.verdict) == ("counterfactual", "for")
    (finding,) = Counterfactual().asking(Parrot()).look(QUESTION, CHAIN)
    assert finding.verdict == "against"
