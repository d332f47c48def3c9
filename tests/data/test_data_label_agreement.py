"""Agreement, by numbers that others published or that can be worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tunesmith.core.errors import UserError
from tunesmith.data.label.agreement import Estimate, agreement, agreement_reason, kappa

# Four observers and twelve units, with values missing: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
OBSERVERS = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}
VOTES = {
    f"unit {n}": {who: said.split()[n] for who, said in OBSERVERS.items() if said.split()[n] != "."} for n in range(12)
}


@pytest.mark.parametrize(("scale", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_the_one_that_krippendorff_published(scale: str, published: float) -> None:
    """0.743 nominal, 0.815 ordinal and 0.849 interval; the last unit has one value and pairs with nothing."""
    found = agreement(VOTES, list("12345"), scale=scale, resamples=200)  # type: ignore[arg-type]
    assert found.alpha.value == pytest.approx(published, abs=0.0005)
    assert found.alpha.rows == 11 and found.rows == 12
    assert found.alpha.low is not None and found.alpha.high is not None
    assert found.alpha.low < published < found.alpha.high
    assert found.unanimous == 8  # units 1, 3, 4, 5, 7, 9, 10, 11


def test_alpha_of_two_by_hand() -> None:
    """Two people, ten rows, 0/1 labels: Krippendorff 2011, example A, alpha 0.095.

    Coincidences: 4 rows differ, so o01 = 4; of the 20 values 14 are 0 and 6 are 1. Disagreement seen 4 x 2 / 20 = 0.4,
    expected 2 x 14 x 6 / (20 x 19) = 0.442; alpha = 1 - 0.4 / 0.442 = 0.095.
    """
    first, second = "0100000001", "1110010000"
    votes = {str(n): {"p": a, "q": b} for n, (a, b) in enumerate(zip(first, second, strict=True))}
    assert agreement(votes, ["0", "1"], resamples=10).alpha.value == pytest.approx(1 - 0.4 / (168 / 380))


def test_kappa_by_hand_and_as_scikit_learn_has_it() -> None:
    """20 both yes, 5 yes-no, 10 no-yes, 15 both no: seen 0.7, by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5, kappa 0.4."""
    unlike = 1.0 - np.eye(2)
    assert kappa(np.array([[[20, 5], [10, 15]]]), unlike)[0] == pytest.approx(0.4)
    chance = random.Random(1)
    said = [(chance.choice("abc"), chance.choice("aabc")) for _ in range(60)]
    votes = {str(n): {"p": a, "q": b} for n, (a, b) in enumerate(said)}
    first, second = zip(*said, strict=True)
    for scale, weights in (("nominal", None), ("ordinal", "quadratic")):
        (pair,) = agreement(votes, list("abc"), scale=scale, resamples=50).kappas  # type: ignore[arg-type]
        assert pair.estimate.value == pytest.approx(cohen_kappa_score(first, second, weights=weights))
        assert pair.estimate.rows == 60


def test_one_label_for_everything_has_no_coefficient() -> None:
    votes = {str(n): {"p": "a", "q": "a"} for n in range(5)}
    found = agreement(votes, ["a", "b"])
    assert (found.alpha.value, found.kappas[0].estimate.value) == (None, None)
    assert found.unanimous == 5


def test_people_who_share_no_row_have_no_kappa() -> None:
    found = agreement({"1": {"p": "a"}, "2": {"q": "b"}}, ["a", "b"], resamples=5)
    assert found.kappas[0].estimate == Estimate(None, None, None, 0)
    assert found.alpha == Estimate(None, None, None, 0)


def test_an_interval_scale_needs_numbers() -> None:
    with pytest.raises(UserError) as told:
        agreement({"1": {"p": "low", "q": "high"}}, ["low", "high"], scale="interval")
    assert [p.code for p in told.value.problems] == ["not-numbers"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two people, two equally frequent labels, each wrong in 10 % of rows: they agree in 0.82, so alpha is 0.64."""
    covered = 0
    for seed in range(20):
        chance = random.Random(seed)
        votes = {}
        for n in range(100):
            truth = n % 2
            votes[str(n)] = {who: str(truth ^ (chance.random() < 0.1)) for who in "pq"}
        found = agreement(votes, ["0", "1"], resamples=60, seed=seed).alpha
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.64 <= found.high
    assert covered >= 16  # 19 of 20 are expected; fewer than 16 has a chance of 0.003


@pytest.mark.parametrize(
    ("value", "least", "verdict", "word"),
    [
        (0.85, 0.8, "passed", "reliable"),
        (0.7, 0.667, "passed", "tentative"),
        (0.7, 0.8, "failed", "tentative"),
        (0.5, 0.667, "failed", "unreliable"),
        (None, 0.667, "unknown", "not defined"),
    ],
)
def test_the_reason_for_g1(value: float | None, least: float, verdict: str, word: str) -> None:
    reason = agreement_reason(Estimate(value, None, None, 100), least=least, where="x.jsonl")
    assert (reason.code, reason.verdict) == ("label-agreement", verdict)
    assert word in reason.message and "x.jsonl" in reason.message
    assert agreement_reason(None).verdict == "unknown"
