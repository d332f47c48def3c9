"""Fusions by hand, on made-up voters whose truth is known, and on four systems' real solutions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from gsm_chains import SYSTEMS, solved
from tunesmith.core.types import Answer
from tunesmith.reason.ballot import candidates, evidence
from tunesmith.reason.calibrate import abstention, chance_calibration_error, expected_calibration_error, kept
from tunesmith.reason.chains import Chain, Finding, Fused
from tunesmith.reason.checking import checked
from tunesmith.reason.checks.arithmetic import Arithmetic
from tunesmith.reason.checks.coverage import Coverage
from tunesmith.reason.checks.premises import Premises
from tunesmith.reason.fusions.bayesian import Bayesian
from tunesmith.reason.fusions.majority import Majority
from tunesmith.reason.fusions.weighted import Weighted
from tunesmith.reason.shelf import Check

Questions = list[tuple[Sequence[Chain], str]]


def chain(conclusion: str | None, source: str = "a", text: str = "", against: str = "", **fields: object) -> Chain:
    findings = (Finding(check=against, verdict="against"),) if against else ()
    return Chain.model_validate(
        {"answer": Answer(text=text), "source": source, "conclusion": conclusion, "findings": findings, **fields}
    )


def test_the_majority_by_hand() -> None:
    """Three of five votes and one more for "none": 3/6. Ties go to the first drawn; the unscored have no vote."""
    fused = Majority().fuse([chain("1"), chain("2"), chain("2"), chain("2"), chain("3")], {})
    assert (fused.conclusion, fused.probability, fused.chosen) == ("2", 0.5, 1)
    assert Majority().fuse([chain("2"), chain("1")], {}).conclusion == "2"
    votes = [chain("1", unscored="loop"), chain("1", unscored="loop"), chain("2")]
    assert Majority().fuse(votes, {}).conclusion == "2"


def test_weights_by_hand() -> None:
    """a is right in 8 of 8 (9/10 with one of each added), b in 3 of 8 (4/10): log(9 x 9) = 4.394, log(9 x 2/3) = 1.792.

    Two votes of b against one of a: 3.584 to 4.394.
    """
    questions: Questions = [([chain("1", "a"), chain("1" if n < 3 else "2", "b")], "1") for n in range(8)]
    learnt = Weighted().learn(questions)
    assert learnt["weights"] == {"a": pytest.approx(4.3944, abs=1e-4), "b": pytest.approx(1.7918, abs=1e-4)}
    assert Weighted().fuse([chain("x", "b"), chain("x", "b"), chain("y", "a")], learnt).conclusion == "y"
    assert Weighted().fuse([chain("x", "b"), chain("x", "b"), chain("y", "b")], learnt).conclusion == "x"


def test_a_likely_chain_counts_for_more_where_asked() -> None:
    said = [Answer.model_validate({"text": "", "usage": {"answer_tokens": 10}})] * 2
    two = [
        Chain(answer=said[0], source="a", conclusion="1", log_probability=-20.0),
        Chain(answer=said[1], source="a", conclusion="2", log_probability=-1.0),
    ]
    assert Weighted().fuse(two, {}).conclusion == "1"
    assert Weighted(by_likelihood=True).fuse(two, {}).conclusion == "2"


def test_a_failed_check_breaks_a_tie_before_anything_was_learnt() -> None:
    assert Bayesian().fuse([chain("1", against="arithmetic"), chain("2")], {}).conclusion == "2"


def test_the_evidence_of_a_candidate_by_hand() -> None:
    """ "4" has two votes of a (log2 3) and one of b; one of its three chains failed arithmetic: a third of a third."""
    chains = [
        chain("4", "a", "1 + 1 = 2\n2 + 2 = 4", "arithmetic"),
        chain("4", "a"),
        chain("4", "b"),
        chain("2", "b", "1 + 1 = 2"),
    ]
    four, two = evidence(chains)
    assert four["source:a"] == pytest.approx(np.log2(3)) and four["source:b"] == 1.0
    assert (four["agree:2"], two["agree:2"]) == (1.0, 0.0)
    assert four["check:arithmetic:against"] == pytest.approx(1 / 9)
    assert four["results"] == 1.0 and two["inside"] == 1.0
    assert [one.conclusion for one in candidates(chains)] == ["4", "2"]


def made_up(count: int, *, seed: int) -> Questions:
    """Three voters: `sharp` is right in 80 %, `dull` in 50 %, and `echo` repeats dull's word; wrong ones differ.

    A check finds half of the wrong chains."""
    chance = random.Random(seed)
    rows: Questions = []
    for _ in range(count):
        sharp, dull = (str(chance.randint(2, 9)) if chance.random() > p else "1" for p in (0.8, 0.5))
        said = [("echo", dull), ("dull", dull), ("sharp", sharp)]
        caught = [word != "1" and chance.random() < 0.5 for _, word in said]
        rows.append(
            ([chain(word, who, against="check" if c else "") for (who, word), c in zip(said, caught, strict=True)], "1")
        )
    return rows


def accuracy(fusion: Majority | Weighted | Bayesian, learnt: dict[str, object], rows: Questions) -> float:
    return sum(fusion.fuse(chains, learnt).conclusion == right for chains, right in rows) / len(rows)


def test_who_echoes_is_not_counted_twice() -> None:
    """The majority follows the pair (50 %), votes weighted one by one nearly so; fitted together, sharp is followed."""
    taught, later = made_up(300, seed=1), made_up(600, seed=2)
    majority = accuracy(Majority(), Majority().learn(taught), later)
    bayesian = accuracy(Bayesian(), Bayesian().learn(taught), later)
    assert majority < 0.56
    assert bayesian > 0.83


def test_the_probability_means_what_it_says() -> None:
    fusion = Bayesian()
    learnt, later = fusion.learn(made_up(400, seed=3)), made_up(2000, seed=4)
    said = [(fusion.fuse(chains, learnt), right) for chains, right in later]
    error = expected_calibration_error(
        [one.probability for one, _ in said], [one.conclusion == right for one, right in said]
    )
    assert error < 0.03


@cache
def real(limit: int | None) -> Questions:
    """Real solutions with the findings of three checks."""
    checks: list[Check] = [Arithmetic(), Premises(), Coverage()]
    return [([checked(checks, row.question, one) for one in row.chains], row.answer) for row in solved(limit)]


def halves(rows: Questions, seed: int) -> tuple[list[int], list[int]]:
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    return order[: len(rows) // 2], order[len(rows) // 2 :]


def said_of(fusion: Bayesian | Majority, learnt: dict[str, object], rows: Questions, places: list[int]) -> list[Fused]:
    return [fusion.fuse(rows[n][0], learnt) for n in places]


def test_real_solutions_are_fused_no_worse_than_the_best_and_better_than_the_majority() -> None:
    rows = real(150)
    taught, later = halves(rows, 0)
    learnt = Bayesian().learn([rows[n] for n in taught])
    right = [
        one.conclusion == rows[n][1] for one, n in zip(said_of(Bayesian(), learnt, rows, later), later, strict=True)
    ]
    vote = [Majority().fuse(rows[n][0], {}).conclusion == rows[n][1] for n in later]
    best = max(sum(rows[n][0][k].conclusion == rows[n][1] for n in later) for k in range(len(SYSTEMS)))
    assert sum(right) > sum(vote)
    assert sum(right) >= best - 6


@pytest.mark.slow
def test_all_real_solutions_over_resplits() -> None:
    """Twenty seeded halvings, each both ways: see docs/reasoning.md and docs/lab.md for the figures."""
    rows, gains, errors, promises = real(None), [], [], []
    for seed in range(20):
        for taught, later in (halves(rows, seed), halves(rows, seed)[::-1]):
            learnt = Bayesian().learn([rows[n] for n in taught])
            said = said_of(Bayesian(), learnt, rows, later)
            right = np.array([one.conclusion == rows[n][1] for one, n in zip(said, later, strict=True)], dtype=float)
            vote = np.array([Majority().fuse(rows[n][0], {}).conclusion == rows[n][1] for n in later], dtype=float)
            off = right - vote
            gains.append(off.mean() - 1.96 * off.std() / len(off) ** 0.5)
            stated = [one.probability for one in said]
            errors.append(expected_calibration_error(stated, right) - chance_calibration_error(stated, draws=50))
            half = len(later) // 2
            found = abstention(stated[:half], right[:half] > 0, risk=0.3, ahead=len(later) - half)
            promises.append(kept(found, stated[half:], [bool(one) for one in right[half:]]) <= 0.3)
    assert min(gains) > 0
    assert np.mean(errors) < 0.02
    assert np.mean(promises) >= 0.95
