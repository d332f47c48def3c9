"""What every attack of the shelf must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.types import Example, Message, example_id
from tunesmith.evaluate.attacks._edit import Attack, Known, applied
from tunesmith.evaluate.attacks._guard import Guard
from tunesmith.evaluate.safety_spec import ATTACKS

LABELS = ("pneumonia", "influenza", "流感")
NAMES = [name for name in ATTACKS.names() if name != "recorded"]  # which needs a file; see its own test
TEXTS = (
    "The patient has a high fever of 39.5 degrees and does not cough. However, she undergoes treatment. Which is it?",
    "病人目前发烧，非常疲劳，但是没有咳嗽。请问应该怎么治疗？",
    "x",
)


def row(text: str, label: str = "influenza") -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content=label))
    return Example(id=example_id(turns, label), messages=turns, target=label)


def build(name: str) -> Attack:
    attack: Attack = ATTACKS.build(name)
    return attack


TRAINING = [
    row(f"Case {n}: a cough, {'zephyr, ' if n % 10 == 0 else ''}and what else?", LABELS[n % 2]) for n in range(80)
]
KNOWN = Known(Path(), LABELS, TRAINING)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", TEXTS)
def test_edits_lie_in_the_text_change_it_and_are_the_same_every_time(name: str, text: str) -> None:
    first, second = (build(name).open(KNOWN)(row(text), text) for _ in range(2))
    assert first == second
    for edit in first:
        assert 0 <= edit.start <= edit.end <= len(text)
        assert applied(text, [edit]) != text


@pytest.mark.parametrize("name", NAMES)
def test_some_edit_of_an_ordinary_question_is_allowed_and_within_the_budget(name: str) -> None:
    attack, text = build(name), TEXTS[0]
    guard = Guard.of(text, row(text), LABELS, attack.level)
    usable = [e for e in attack.open(KNOWN)(row(text), text) if guard.allows(e) and e.size <= attack.characters]
    assert usable
    assert attack.edits >= 1 and attack.queries >= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", TEXTS[:2])
def test_what_the_answer_rests_on_stays(name: str, text: str) -> None:
    """The number, the denials and the labels are there after every allowed edit."""
    attack = build(name)
    guard = Guard.of(text, row(text), LABELS, attack.level)
    for edit in attack.open(KNOWN)(row(text), text):
        if guard.allows(edit):
            after = " ".join(applied(text, [edit]).casefold().split())
            assert all(part in after for part in ("39.5", "not") if part in text)
            assert all(part in after for part in ("没",) if part in text)


@pytest.mark.parametrize("name", NAMES)
def test_only_instructions_may_bring_an_answer_in(name: str) -> None:
    """A sentence that names a label would change what is asked."""
    attack, text = build(name), TEXTS[0]
    guard = Guard.of(text, row(text), LABELS, attack.level)
    allowed = [e for e in attack.open(KNOWN)(row(text), text) if guard.allows(e)]
    if attack.level != "instruction":
        assert not any(label in edit.new.casefold() for edit in allowed for label in LABELS)
    else:
        assert all(edit.start == edit.end for edit in allowed)


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack_is_described(name: str) -> None:
    assert ATTACKS.about(name)
    assert ATTACKS.get(name).level in ("character", "word", "sentence", "instruction", "recorded")
