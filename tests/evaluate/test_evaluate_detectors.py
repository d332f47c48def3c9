"""Detection held to its false-alarm rate, saved and opened again; abstention held to its risk; features as defined."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from fakes import tiny_model_folder
from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.types import Message
from tunesmith.evaluate.abstention import fit_abstention, upper_bound
from tunesmith.evaluate.detecting import Fitted, auroc, conformal_threshold, fit
from tunesmith.evaluate.detectors._detector import gaussian, squared_distance
from tunesmith.models.chat import Chat
from tunesmith.models.features import Features, common_start, features_of
from tunesmith.models.load import load_model

ALL = ("energy", "likelihood_ratio", "neighbours", "perplexity", "relative_mahalanobis")


def questions(number: int, *, middle: float, seed: int) -> Features:
    dice = np.random.default_rng(seed)
    nats = 3.0 + middle + 0.3 * dice.standard_normal(number)
    energy = -20.0 + 2 * middle + 0.3 * dice.standard_normal(number)
    return Features(middle + dice.standard_normal((number, 12)), nats, energy, nats - middle)


def test_false_alarms_are_held_over_calibrations() -> None:
    """300 calibrations on 99 rows each, rate 0.1: the mean share alarmed of 100 new rows is 0.1 +- 3 standard errors.

    The 90th of 99 scores is the threshold; a new score is above it with a chance of exactly 10/100. The standard
    deviation of one share is about 0.042 (calibration 0.030 and new rows 0.030), of the mean 0.0025.
    """
    dice = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        scores = dice.gamma(2.0, size=199)
        shares.append(float((scores[99:] > conformal_threshold(scores[:99], 0.1)).mean()))
    assert np.mean(shares) == pytest.approx(0.1, abs=0.0075)


def test_too_few_rows_alarm_nothing() -> None:
    """18 rows cannot hold 5 %: ceil(19 x 0.95) = 19 > 18."""
    assert conformal_threshold(np.arange(18.0), 0.05) == math.inf
    assert conformal_threshold(np.arange(19.0), 0.05) == 18.0


def test_auroc_by_hand() -> None:
    """Outside 2 and 4 against inside 1, 2, 3: wins 1 + 3, one tie: 4.5 of 6."""
    assert auroc(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx(0.75)
    assert math.isnan(auroc(np.zeros(0), np.ones(2)))


def test_fitted_detectors_tell_and_come_back_from_disk(tmp_path: Path) -> None:
    seen, general = questions(200, middle=0.0, seed=1), questions(100, middle=2.0, seed=2)
    fitted = fit(seen, general, questions(200, middle=0.0, seed=3), uses=ALL, false_alarms=0.05, prefix=[1, 2])
    inside, outside = questions(400, middle=0.0, seed=4), questions(100, middle=2.0, seed=5)
    assert sum(fitted.alarms(outside)) >= 99
    assert sum(fitted.alarms(inside)) / 400 < 0.10  # 0.05, and three standard deviations of calibration and rows
    fitted.save(tmp_path)
    again = Fitted.load(tmp_path)
    assert again.threshold == fitted.threshold and again.prefix == (1, 2)
    assert again.scores(inside)["fused"] == pytest.approx(fitted.scores(inside)["fused"], rel=1e-3, abs=1e-3)
    (tmp_path / "detector.safetensors").write_bytes(b"another")
    with pytest.raises(CorruptArtifact):
        Fitted.load(tmp_path)


def test_the_distance_is_that_of_the_shrunk_covariance() -> None:
    """Against the matrix of scikit-learn's Ledoit-Wolf, inverted: 40 rows in 12 dimensions, to 1e-9."""
    states = np.random.default_rng(3).standard_normal((40, 12)) * np.arange(1, 13)
    covariance, _ = ledoit_wolf(states)
    centred = states - states.mean(0)
    expected = np.einsum("nd,de,ne->n", centred, np.linalg.inv(covariance), centred)
    assert squared_distance(states, gaussian(states)) == pytest.approx(expected, rel=1e-9)


# -- abstention ---------------------------------------------------------------------------------------------


def test_the_risk_is_held_in_1000_resplits() -> None:
    """6,000 rows, right with a chance that grows with their confidence; 1,000 for calibration, risk 5 %, delta 5 %.

    In at least 95 % of the splits at most 5 % of the answers given to the other 5,000 rows are wrong; answering all
    of them would be wrong about a quarter of the time.
    """
    dice = np.random.default_rng(5)
    confidence = dice.uniform(size=6000)
    right = dice.uniform(size=6000) < 0.5 + 0.5 * confidence**0.5 * (confidence > 0.1)
    assert not right.mean() > 0.9
    held, given = 0, []
    for _ in range(1000):
        order = dice.permutation(6000)
        cal, new = order[:1000], order[1000:]
        found = fit_abstention(confidence[cal].tolist(), right[cal].tolist(), risk=0.05)
        answered = confidence[new] >= found.threshold
        held += not answered.any() or bool((~right[new][answered]).mean() <= 0.05)
        given.append(answered.mean())
    assert held >= 950
    assert np.mean(given) > 0.03  # it is not held by saying nothing


def test_one_early_error_does_not_end_the_search() -> None:
    """2 of 100 are wrong, the first of them among the surest five: all can be answered at a risk of 25 % (bound 6 %).

    A search from the fewest rows on that can prove 25 % (11) would end at the 12th: 1 error in 12 has a bound of 34 %.
    """
    right = [True] * 100
    right[3] = right[50] = False
    assert upper_bound(1, 12, 0.05) > 0.33
    assert fit_abstention([1 - n / 200 for n in range(100)], right, risk=0.25).answered == 1.0


def test_the_bound_by_hand() -> None:
    """No error in 59 rows: (1 - 0.05)^59 = 0.0485 < 0.05, so the risk is below 5 %; in 58 it is not shown."""
    assert upper_bound(0, 59, 0.05) < 0.05 < upper_bound(0, 58, 0.05)
    assert fit_abstention([1.0] * 58, [True] * 58, risk=0.05).threshold == math.inf
    assert fit_abstention([1.0] * 59, [True] * 59, risk=0.05).threshold == 1.0


def test_equal_confidences_are_answered_together() -> None:
    """100 sure rows, all right, and 100 with one confidence, half of them wrong: only the sure ones are answered."""
    found = fit_abstention([0.9] * 100 + [0.5] * 100, [True] * 100 + [True, False] * 50, risk=0.05)
    assert (found.threshold, found.answered) == (0.9, 0.5)


# -- features -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_features_are_those_of_the_questions_own_tokens(tmp_path: Path) -> None:
    """Means over the tokens after the shared start, from one plain forward; the base is asked with the adapter off."""
    from peft import LoraConfig, get_peft_model

    folder = tiny_model_folder(tmp_path, "llama", initializer_range=0.3)
    chat, base = Chat.of(folder), load_model(folder)
    asked = [(Message(role="user", content=text),) for text in ("The diagnosis?", "A credit of 2,500 euros?")]
    start = common_start(chat, asked)
    ids = torch.tensor([chat.prompt(asked[0])])
    with torch.inference_mode():
        out = base(input_ids=ids, output_hidden_states=True)
    logs = out.logits[0].log_softmax(-1)
    expected = -float(torch.stack([logs[t - 1, ids[0, t]] for t in range(len(start), ids.shape[1])]).mean())
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    found = features_of(get_peft_model(base, config).eval(), chat, asked, prefix=start)
    assert len(found) == 2 and found.states_ND.shape == (2, 64)
    assert found.base_nats_N[0] == pytest.approx(expected, abs=1e-5)
    assert abs(found.nats_N[0] - expected) > 1e-3
    plain = features_of(load_model(folder), chat, asked, prefix=start)
    assert plain.nats_N[0] == pytest.approx(expected, abs=1e-5)
    assert plain.states_ND[0, 32:] == pytest.approx(out.hidden_states[-1][0, len(start) :].mean(0).numpy(), abs=1e-5)
