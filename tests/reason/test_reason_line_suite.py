"""The generated suite: every step is right, wordings of train and test are disjoint, the same seed gives the same."""

from __future__ import annotations

import itertools
import re

import pytest

from tunesmith.reason.suites import FAMILIES, Part, suite
from tunesmith.reason.suites._plan import Plan, Step, worked

PARTS: tuple[Part, ...] = ("train", "valid", "test")


def test_a_plan_is_worked_out_step_by_step() -> None:
    """(12 - 2) / 5 = 2, then 2 * 3 = 6; 11 gives 9 / 5, which is no whole number; 2 gives 0."""
    plan = Plan(
        "p",
        {},
        (Step("a", "x - 2", "A"), Step("b", "a / 5", "B"), Step("c", "b * 3", "C")),
        ("",) * 5,
        {},
    )
    assert worked(plan, {"x": 12}) == [("12 - 2 = 10", 10), ("10 / 5 = 2", 2), ("2 * 3 = 6", 6)]
    assert worked(plan, {"x": 11}) is None
    assert worked(plan, {"x": 2}) is None


@pytest.mark.parametrize("part", PARTS)
def test_every_equation_of_every_chain_holds_and_the_last_one_is_the_answer(part: Part) -> None:
    for exercise in suite(part, 240):
        lines = exercise.solution.splitlines()
        assert len(lines) == exercise.steps and 2 <= exercise.steps <= 6
        for line in lines:
            a, sign, b, result = re.search(r": (\d+) ([-+*/]) (\d+) = (\d+)", line).groups()  # type: ignore[union-attr]
            assert {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b), "/": int(a) / int(b)}[
                sign
            ] == int(result)
        assert lines[-1].split(" = ")[1].split()[0] == exercise.answer


def test_no_wording_and_no_question_is_in_two_parts() -> None:
    made = {part: suite(part, 600) for part in PARTS}
    for one, other in itertools.combinations(PARTS, 2):
        assert not {e.template for e in made[one]} & {e.template for e in made[other]}
        assert not {e.question for e in made[one]} & {e.question for e in made[other]}
    assert {len({e.question for e in exercises}) for exercises in made.values()} == {600}


def test_every_family_and_every_number_of_steps_is_there_evenly() -> None:
    """Twelve plans by turns: 120 exercises are 10 of each, 30 of each family."""
    made = suite("test", 120)
    assert {name: sum(e.family == name for e in made) for name in FAMILIES} == dict.fromkeys(FAMILIES, 30)
    assert {e.steps for e in made} == {2, 3, 4, 5, 6}


def test_facts_and_words_of_every_wording_are_told() -> None:
    """Each wording names each fact once or more, and nothing that the plan does not have."""
    for plan in itertools.chain(*FAMILIES.values()):
        for wording in plan.wordings:
            assert set(re.findall(r"\{(\w+)\}", wording)) == {*plan.facts, *plan.words}, wording


def test_the_same_seed_gives_the_same_exercises_and_another_one_others() -> None:
    assert suite("train", 50) == suite("train", 60)[:50]
    assert suite("train", 50, seed=1) != suite("train", 50)


def test_more_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three values of one fact make three exercises."""
    plan = Plan("p", {"x": (10, 30, 10)}, (Step("a", "x - 2", "A"),), ("{x}",) * 5, {})
    monkeypatch.setattr("tunesmith.reason.suites.FAMILIES", {"tiny": (plan,)})
    assert len(suite("test", 3)) == 3
    with pytest.raises(ValueError, match="3 different exercises for 'test', not 4"):
        suite("test", 4)
