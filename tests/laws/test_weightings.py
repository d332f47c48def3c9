"""Laws of every weighting, and one step of each by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tunesmith.tune.batches import Step
from tunesmith.tune.objective import WEIGHTINGS, Weighting

STEP = Step(0, 100, ())
NAMES = {"cross_entropy": 0.6, "domain_alignment": 0.3, "teacher_consistency": 0.1}


def begun(name: str, **settings: float) -> Weighting:
    made: Weighting = WEIGHTINGS.build({"use": name, **settings}).begin(NAMES)
    return made


def taught(weighting: Weighting, steps: int, *, seed: int = 0) -> Weighting:
    """After so many steps of values and norms of very different sizes, some of them zero or below."""
    chance = torch.Generator().manual_seed(seed)
    for number in range(steps):
        drawn = torch.randn(6, generator=chance).tolist()
        values = {name: 3.0**place * drawn[place] for place, name in enumerate(NAMES)}
        values["cross_entropy"] = 0.0 if number % 5 == 0 else values["cross_entropy"]
        norms = {name: abs(drawn[3 + place]) * 10.0**place for place, name in enumerate(NAMES)}
        weighting.learn(values, norms)
        weighting.after_step(number)
    return weighting


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_factors_stay_positive_and_finite(name: str) -> None:
    factors = taught(begun(name), 300).factors(STEP)
    assert all(factor > 0 and math.isfinite(factor) for factor in factors.values())


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_they_begin_as_the_project_file_has_them(name: str) -> None:
    assert all(factor == 1.0 for factor in begun(name).factors(STEP).values())


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_nothing_moves_before_the_optimiser_has_stepped(name: str) -> None:
    weighting = taught(begun(name), 3)
    before = dict(weighting.factors(STEP))
    weighting.learn(dict.fromkeys(NAMES, 2.0), {"cross_entropy": 1.0, "teacher_consistency": 9.0})
    assert weighting.factors(STEP) == before


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_resumed_weighting_goes_on_bit_for_bit(name: str) -> None:
    whole = taught(taught(begun(name), 7), 5, seed=1)
    saved = taught(begun(name), 7).tensors()
    resumed = begun(name)
    taught(resumed, 2, seed=2)  # what was learnt before is forgotten
    resumed.restore(saved)
    taught(resumed, 5, seed=1)
    assert resumed.factors(STEP) == whole.factors(STEP)
    assert resumed.tensors().keys() == whole.tensors().keys()
    assert all(torch.equal(tensor, whole.tensors()[key]) for key, tensor in resumed.tensors().items())


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_term_that_a_step_does_not_have_keeps_its_factor(name: str) -> None:
    weighting = taught(begun(name), 3)
    before = weighting.factors(STEP).get("teacher_consistency", 1.0)
    weighting.learn({"cross_entropy": 2.0, "domain_alignment": 1.0}, {"cross_entropy": 1.0, "domain_alignment": 3.0})
    weighting.after_step(3)
    assert weighting.factors(STEP).get("teacher_consistency", 1.0) == before


def test_one_step_of_uncertainty_by_hand() -> None:
    """Rate 0.1, s = 0: value 2 gives s = -0.1 (1/2 - 2) = 0.15, factor exp(-0.15) = 0.8607; value 0 gives s = -0.05,
    factor 1.0513."""
    weighting = begun("uncertainty", rate=0.1)
    weighting.learn({"cross_entropy": 2.0, "teacher_consistency": 0.0}, {})
    weighting.after_step(0)
    factors = weighting.factors(STEP)
    assert factors["cross_entropy"] == pytest.approx(0.860708, abs=1e-6)
    assert factors["teacher_consistency"] == pytest.approx(1.051271, abs=1e-6)
    assert factors["domain_alignment"] == 1.0


def test_uncertainty_comes_to_rest_at_one_over_twice_the_value_and_never_beyond_its_bound() -> None:
    """Value 0.25: 1 / 0.5 = 2. Value 0: the bound, 10."""
    weighting = begun("uncertainty", rate=0.2)
    for number in range(200):
        weighting.learn({"cross_entropy": 0.25, "teacher_consistency": 0.0}, {})
        weighting.after_step(number)
    factors = weighting.factors(STEP)
    assert factors["cross_entropy"] == pytest.approx(2.0, abs=1e-6)
    assert factors["teacher_consistency"] == pytest.approx(10.0)


def test_one_step_of_gradnorm_by_hand() -> None:
    """Rate 0.1, alpha 1, factors 1; norms 1 and 3, so G = 2; both values are the first, so r = 1 for both.

    |1 - 2| asks for more: exp(0.1 * 1/2) = 1.051271; |3 - 2| for less: exp(-0.1 * 3/2) = 0.860708; scaled to the sum
    2: 2 * 1.051271 / 1.911979 = 1.099668 and 0.900332.
    """
    weighting = begun("gradnorm", alpha=1.0, rate=0.1)
    weighting.learn({"cross_entropy": 4.0, "domain_alignment": 4.0}, {"cross_entropy": 1.0, "domain_alignment": 3.0})
    weighting.after_step(0)
    factors = weighting.factors(STEP)
    assert factors["cross_entropy"] == pytest.approx(1.099668, abs=1e-6)
    assert factors["domain_alignment"] == pytest.approx(0.900332, abs=1e-6)


@pytest.mark.parametrize(("values", "norms"), [((2.0, 2.0), (1.0, 5.0)), ((2.0, 0.2), (1.0, 1.0))])
def test_gradnorm_raises_what_has_a_small_gradient_or_is_learnt_slowly(
    values: tuple[float, float], norms: tuple[float, float]
) -> None:
    """Both terms begin at 2; the first either has the smaller gradient, or stays where the second falls to 0.2."""
    weighting = begun("gradnorm")
    weighting.learn({"cross_entropy": 2.0, "domain_alignment": 2.0}, {"cross_entropy": 1.0, "domain_alignment": 1.0})
    weighting.after_step(0)
    for number in range(1, 20):
        weighting.learn(
            dict(zip(("cross_entropy", "domain_alignment"), values, strict=True)),
            dict(zip(("cross_entropy", "domain_alignment"), norms, strict=True)),
        )
        weighting.after_step(number)
    factors = weighting.factors(STEP)
    assert factors["cross_entropy"] > 1.1 and factors["domain_alignment"] < 0.9
    assert sum(factors.values()) == pytest.approx(2.0)


def test_only_gradnorm_asks_for_norms() -> None:
    assert {name: begun(name).wants_norms for name in WEIGHTINGS.names()} == {
        "fixed": False,
        "gradnorm": True,
        "uncertainty": False,
    }
