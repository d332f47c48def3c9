"""When enough chains were drawn, and that the early answer is that of the full vote as often as was promised."""

from __future__ import annotations

import random

import pytest

from tunesmith.reason.stopping import Stopping, overtaken, surely_settled, winner

FULL = 40


def votes(share: float, chance: random.Random, *, others: int = 6) -> list[str | None]:
    """Forty chains that give `right` with this chance, one of so many other answers else, and sometimes none."""
    wrong = [f"wrong {n}" for n in range(others)]
    drawn: list[str | None] = ["right" if chance.random() < share else chance.choice(wrong) for _ in range(FULL)]
    return [None if chance.random() < 0.05 else vote for vote in drawn]


def questions(count: int, *, seed: int) -> list[list[str | None]]:
    """Questions of all kinds: most are easy, some are torn."""
    chance = random.Random(seed)
    return [votes(chance.betavariate(2.0, 0.7), chance, others=chance.choice([1, 2, 6])) for _ in range(count)]


def test_the_chance_to_be_overtaken_by_hand() -> None:
    """One chain left, three votes to none: it cannot. Two to one, two left, flat prior: both must go to the second,
    2/5 x 3/6 = 0.2; one vote each, first drawn leads, one left: 2/4 = 0.5."""
    assert overtaken(3, 0, 0, 1) == 0.0
    assert overtaken(2, 1, 0, 2) == pytest.approx(0.2)
    assert overtaken(1, 1, 0, 1) == pytest.approx(0.5)


def test_a_tie_goes_to_the_first_drawn_and_none_has_no_vote() -> None:
    assert winner(["b", "a", "a", "b", None]) == "b"
    assert winner([None, None]) is None


def test_it_stops_where_nothing_can_change_and_not_before_the_least() -> None:
    rule = Stopping(full=10, level=0.0)
    assert rule.settled(["a"] * 5) and not rule.settled(["a"] * 4)
    assert not Stopping(full=10, level=1.0).settled(["a"]) and Stopping(full=10, level=1.0).settled(["a", "b"])
    assert Stopping(full=2).settled([None, None])


def test_the_promise_over_questions_is_kept_on_others() -> None:
    """At 5 % and confidence 0.95, with 300 held-out questions: of 1,000 others 5 % may differ, with chance 6 %."""
    rule = Stopping.fit(questions(300, seed=1), chance=0.05)
    later = questions(1000, seed=2)
    differ = sum(winner(one[: rule.drawn(one)]) != winner(one) for one in later)
    drawn = sum(rule.drawn(one) for one in later) / (FULL * len(later))
    assert differ <= 60
    assert drawn < 0.35


def test_fitting_beats_the_flat_prior_at_the_same_promise() -> None:
    """The beta criterion of Adaptive-Consistency at 0.95 and the fitted rule, on the same questions."""
    from scipy.special import betainc

    later = questions(600, seed=3)
    rule = Stopping.fit(questions(300, seed=1), chance=0.05)

    def plain(one: list[str | None]) -> int:
        for n in range(2, FULL):
            counts = sorted((one[:n].count(vote) for vote in set(one[:n]) - {None}), reverse=True)
            first, second = ([*counts, 0, 0])[:2]
            if 1 - betainc(first + 1, second + 1, 0.5) >= 0.95:
                return n
        return FULL

    assert sum(map(rule.drawn, later)) < 1.1 * sum(map(plain, later))


def test_too_few_questions_promise_nothing() -> None:
    rule = Stopping.fit(questions(10, seed=1), chance=0.01)
    assert rule.level == 0.0 and not rule.settled(["right"] * 19)


@pytest.mark.parametrize("right", [20, 21, 24, 30])
def test_the_promise_for_each_question_is_kept_in_every_order(right: int) -> None:
    """The hardest votes: right to wrong is 20 : 20 (no majority), 21 : 19, 24 : 16 and 30 : 10. Of 400 orders at most
    5 % (20, three sd more: 33) may settle for an answer without the majority."""
    chance, early = random.Random(right), 0
    ballots = ["right"] * right + ["wrong"] * (FULL - right)
    for _ in range(400):
        chance.shuffle(ballots)
        n = next((n for n in range(1, FULL) if surely_settled(ballots[:n], full=FULL)), FULL)
        settled = n < FULL
        early += settled and (winner(ballots[:n]) != "right" or right == 20)
    assert early <= 33


def test_agreement_settles_for_sure_too() -> None:
    first = next(n for n in range(1, FULL) if surely_settled(["a"] * n, full=FULL))
    assert 5 <= first <= 12
    assert not surely_settled(["a", "b"] * 10, full=FULL)
