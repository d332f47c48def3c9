"""Attacks find what is planted, find nothing in a robust model, keep what worked, and count everything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from attack_fakes import KNOWN, LABELS, ROWS, WEAKNESSES, Graded, Weak

from tunesmith.core.errors import UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.types import Answer, Example
from tunesmith.evaluate.attacked import Attacked, attack_measures
from tunesmith.evaluate.attacking import Target, attack
from tunesmith.evaluate.attacks._edit import Known
from tunesmith.evaluate.safety_spec import ATTACKS
from tunesmith.evaluate.scorers.label import Label

JUDGE = Label(LABELS).score
ALL = [name for name in ATTACKS.names() if name != "recorded"]


def attacked(model: Answerer, *names: str, rows: Sequence[Example] = ROWS, known: Known = KNOWN) -> Attacked:
    clean = model.answer([row.prompt for row in rows], at_most_tokens=8)
    target = Target(model, list(zip(rows, clean, strict=True)), JUDGE, known, 8)
    return attack(target, {n: ATTACKS.build(n) for n in names}, events=Events(), stage="test", seed=1)


def test_planted_weaknesses_are_found() -> None:
    """42 models, each with one weakness; at least 40 (95 %) must be found by the attack that looks for their kind."""
    found = {name: attacked(Weak(breaks), by, rows=ROWS[:3]).successes for name, (by, breaks) in WEAKNESSES.items()}
    missed = [name for name, successes in found.items() if not successes]
    assert len(WEAKNESSES) >= 40
    assert len(missed) <= 0.05 * len(WEAKNESSES), missed


def test_nothing_is_found_in_a_robust_model() -> None:
    """It reads the file number whatever stands around it: 6 rows, every attack, no success."""
    found = attacked(Weak(lambda text: False), *ALL)
    assert found.successes == []
    assert {trial.state for trial in found.trials} == {"held"}


def test_a_success_is_as_small_as_it_can_be_and_says_what_to_do_again() -> None:
    """The model breaks when "payment" is misspelt: of up to four slips one is left, and asking it breaks again."""
    model = Weak(WEAKNESSES["payment-misspelt"][1])
    success = attacked(model, "typos").successes[0]
    assert len(success.edits) == 1
    start, end, _ = success.edits[0]
    assert success.before[start:end] == "payment"
    assert model.answer([success.messages], at_most_tokens=8)[0].text == success.said != success.right
    assert success.messages[-1].content == success.after


def test_leads_guide_the_search_where_the_answer_alone_says_nothing() -> None:
    """Four certain words of about twenty must be misspelt together: random groups of four hit them once in 4,845.

    The likelihood of the right answer falls with each of them, and shows the way.
    """
    marks = Graded.marks
    lost = attacked(Graded(lambda text: not any(mark in text.lower() for mark in marks)), "typos")
    assert len(lost.successes) >= 4


def test_the_budget_holds() -> None:
    """48 questions a row; making a success smaller may cost a few more, so only rows that held are counted."""
    model = Weak(lambda text: False)
    found = attacked(model, "typos")
    assert all(trial.queries <= 48 for trial in found.trials)
    assert model.asked == len(ROWS) + sum(trial.queries for trial in found.trials)


def test_the_same_seed_finds_the_same() -> None:
    weak = WEAKNESSES["two-unknown-words"][1]
    first, second = (attacked(Weak(weak), "typos").successes for _ in range(2))
    assert first == second


def test_what_is_wrong_before_is_not_attacked_and_what_is_not_answered_is_unscored() -> None:
    """Rows 1 and 2 are answered wrongly as they stand; long questions are refused: no success, all counted."""

    class Refuses(Weak):
        def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
            plain = super().answer(conversations, at_most_tokens=at_most_tokens)
            texts = [c[-1].content for c in conversations]
            return [Answer(text="", stop="error") if len(t) > 700 else a for t, a in zip(texts, plain, strict=True)]

    found = attacked(Refuses(lambda text: "file 1." in text or "file 2." in text), "long_input")
    assert [trial.state for trial in found.trials] == ["wrong-before"] * 2 + ["unanswered"] * 4
    success, robust = attack_measures(found)[:2]
    assert (success.value, success.n, success.unscored) == (None, 0, 4)
    assert (robust.value, robust.n, robust.unscored) == (0.0, 2, 4)


def test_measures_count_rows() -> None:
    """Six rows: 1 and 2 wrong before; of the other four the two below file 5 break under capitals.

    attack_success 2/4; robust_accuracy 2/6; over both attacks the same, since the other finds nothing.
    """
    model = Weak(
        lambda text: (
            "file 1." in text or "file 2." in text or ("FILE" in text and ("3" in text[-3:] or "4" in text[-3:]))
        )
    )
    found = attacked(model, "letter_case", "whitespace")
    told = {(m.name, m.slice): m for m in attack_measures(found)}
    assert (told["attack_success", "attack=letter_case"].value, told["attack_success", "attack=letter_case"].n) == (
        0.5,
        4,
    )
    assert told["attack_success", "attack=whitespace"].value == 0.0
    assert told["attack_success", "all"].value == 0.5
    assert told["robust_accuracy", "all"].value == pytest.approx(2 / 6)
    high = told["attack_success", "attack=whitespace"].high
    assert high is not None and high > 0.4  # four rows that held do not show that none would break


def test_no_attack_touches_what_the_answer_rests_on() -> None:
    """Numbers stay whatever is done: the robust model reads them, so their digits are there in every question asked."""

    class Watched(Weak):
        def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
            for conversation in conversations:
                assert any(row.messages[1].content[-3:].strip(" .") in conversation[-1].content for row in ROWS)
            return super().answer(conversations, at_most_tokens=at_most_tokens)

    attacked(Watched(lambda text: False), *ALL)


def test_what_worked_is_written_and_asked_again(tmp_path: Path) -> None:
    """The file holds each success; the attack `recorded` reads it: the weak model fails again, a mended one not."""
    weak = Weak(WEAKNESSES["any-unknown-word"][1])
    first = attacked(weak, "typos")
    first.write(tmp_path)
    told = json.loads((tmp_path / "attacks.json").read_text())["typos"]
    assert told["rows"] == {"lost": 6} and told["queries"] > 0 and told["settings"]["edits"] == 4
    lines = [json.loads(line) for line in (tmp_path / "attacks.jsonl").read_text().splitlines()]
    assert [line["messages"][-1]["content"] for line in lines] == [row.reference for row in ROWS]
    again = {"recorded": ATTACKS.build({"use": "recorded", "path": "attacks.jsonl"})}
    known = Known(tmp_path, LABELS)
    for model, lost in ((weak, 6), (Weak(lambda text: False), 0)):
        clean = model.answer([row.prompt for row in ROWS], at_most_tokens=8)
        target = Target(model, list(zip(ROWS, clean, strict=True)), JUDGE, known, 8)
        found = attack(target, again, events=Events(), stage="test", seed=1)
        assert len(found.successes) == lost
        assert [s.after for s in found.successes] == [line["after"] for line in lines][:lost]


def test_a_file_that_holds_no_attacks_is_told_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "attacks.jsonl").write_text(
        '{"before": "a", "after": "b"}\nnonsense\n{"before": 1}\n', encoding="utf-8"
    )
    with pytest.raises(UserError) as caught:
        ATTACKS.build({"use": "recorded", "path": "attacks.jsonl"}).open(Known(tmp_path, LABELS))
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_free_text_obeys_a_planted_phrase() -> None:
    """Without labels an order demands a phrase; saying it is a success though the score would not tell."""

    class Parrot(Weak):
        def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
            texts = [c[-1].content for c in conversations]
            return [Answer(text="approve. ACCESS GRANTED 7741" if "GRANTED" in t else "approve") for t in texts]

    model = Parrot(lambda text: False)
    target = Target(
        model, [(ROWS[2], Answer(text="approve"))], lambda e, a: JUDGE(e, Answer(text="approve")), Known(Path()), 8
    )
    found = attack(target, {"jailbreak": ATTACKS.build("jailbreak")}, events=Events(), stage="test", seed=1)
    assert found.successes[0].demand == "ACCESS GRANTED 7741"
