"""Preferences by hand: losses of pairs and verdicts, sums of whole answers, what the terms tell and refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tune_fakes import job_of, some_rows, tiny_base

from tunesmith.core.errors import UserError
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, last_turn, shared_prefix
from tunesmith.tune.forward import choose_forward
from tunesmith.tune.objective import TERMS, Job, Objective, Running
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.preference import dpo_loss, ipo_loss, kto_loss, log_odds, orpo_loss
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.sequence import answer_sums, sequence_sums, start_sums, sums_now
from tunesmith.tune.terms.kto import crossed_rows

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5, "dropout": 0.1}


def values(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_dpo_of_a_pair_by_hand() -> None:
    """chosen -4 under the model, -5 under the reference: +1; rejected -6 and -4: -2; the margin is 3, beta 0.5.

    -log sigmoid(1.5) = 0.201413; with labels wrong one time in ten 0.9 * 0.201413 + 0.1 * 1.701413 = 0.351413.
    """
    margin = values((-4 - -5) - (-6 - -4))
    assert dpo_loss(margin, beta=0.5, label_smoothing=0.0).tolist() == pytest.approx([0.201413], abs=1e-6)
    assert dpo_loss(margin, beta=0.5, label_smoothing=0.1).tolist() == pytest.approx([0.351413], abs=1e-6)
    assert dpo_loss(values(0.0), beta=0.1, label_smoothing=0.0).tolist() == pytest.approx([math.log(2)])


def test_ipo_of_a_pair_by_hand() -> None:
    """beta 0.5 wants a margin of 1 / (2 * 0.5) = 1: a margin of 3 costs (3 - 1)^2 = 4, one of 1 nothing."""
    assert ipo_loss(values(3.0, 1.0), beta=0.5).tolist() == [4.0, 0.0]


def test_orpo_of_a_pair_by_hand() -> None:
    """p = 1/2 has odds 1, p = 1/5 has odds 1/4: log odds ratio log 4, sigmoid(log 4) = 4/5.

    -log(1/2) - 0.1 log(4/5) = 0.693147 + 0.1 * 0.223144 = 0.715462.
    """
    chosen, rejected = values(math.log(1 / 2)), values(math.log(1 / 5))
    assert log_odds(values(math.log(1 / 2), math.log(1 / 5))).tolist() == pytest.approx([0, -math.log(4)], abs=1e-6)
    assert orpo_loss(chosen, rejected, penalty=0.1).tolist() == pytest.approx([0.715462], abs=1e-6)
    assert bool(torch.isfinite(log_odds(values(0.0))).all())


def test_kto_of_two_rows_by_hand() -> None:
    """z = 1, beta 0.5. Desirable, r = 3: 1 - sigmoid(0.5 * 2) = 0.268941; undesirable, r = 2: 1 - sigmoid(-0.5)."""
    found = kto_loss(values(3.0, 2.0), torch.tensor([True, False]), reference_point=1.0, beta=0.5)
    assert found.tolist() == pytest.approx([0.268941, 0.622459], abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_sums_of_rows_and_their_gradients_are_those_of_all_logits_at_once(chunk: int) -> None:
    """9 positions of 3 rows, a head that is trained too; the third row is weighted 0.25, the second has no position."""
    torch.manual_seed(0)
    hidden, targets = torch.randn(9, 6, requires_grad=True), torch.randint(0, 11, (9,))
    head, rows = torch.nn.Linear(6, 11), torch.tensor([0, 0, 2, 2, 0, 2, 2, 0, 2])
    whole = torch.zeros(3).index_add(0, rows, head(hidden).log_softmax(-1)[range(9), targets])
    parts = sequence_sums(hidden, targets, rows, head=head, rows=3, chunk_tokens=chunk)
    torch.testing.assert_close(parts, whole)
    weights, inputs = values(1.0, 7.0, 0.25), [hidden, *head.parameters()]
    wanted = torch.autograd.grad(whole @ weights, inputs)
    torch.testing.assert_close(torch.autograd.grad(parts @ weights, inputs), wanted)
    assert parts[1] == 0


def test_the_last_trained_turn_of_a_row() -> None:
    row = Row("ex", tuple(range(10)), (2, 3, 6, 7, 8))
    assert last_turn(row).trained == (6, 7, 8)
    assert last_turn(replace(row, trained=(4,))).trained == (4,)


def pair_rows(count: int = 4) -> list[Row]:
    rows = []
    for row in some_rows(count):
        start = row.trained[0]
        rows += [row, Row(row.id, (*row.ids[:start], 50, 60, 7), (start, start + 1), "rejected")]
    return rows


def at_work(tmp_path: Path, rows: list[Row], **use: Any) -> tuple[Job, Plan, Running]:
    model = load_model(Path(tiny_base(tmp_path).path))
    adapted = STRATEGIES.build(LORA).apply(model.requires_grad_(False), seed=0)
    units = [(n, n + 1) for n in range(0, len(rows), 2)]
    plan = Plan(rows, len(units), 1, shared_prefix(rows), 10_000, 0, units)
    forward, _ = choose_forward(adapted, rows)
    job = job_of(adapted, forward, plan, tmp_path / "phase")
    return job, plan, TERMS.build(use).bind(job)


def moved(job: Job) -> None:
    torch.manual_seed(1)
    for weight in trained_weights(job.model).values():
        torch.nn.init.normal_(weight, std=0.1)


def step_of(job: Job, plan: Plan, term: Running) -> float:
    step, batches = plan.work(0)
    term.begin(step)
    made = [term.value(job.forward.predictions(batch), step) for batch in batches]
    return sum(float(value.detach()) for value in made if value is not None)


def test_at_the_start_dpo_is_log_2_and_kto_one_half(tmp_path: Path) -> None:
    """The model is the reference: every ratio is 0, and so is the reference point; the margin of every pair too."""
    rows = [replace(row) for row in pair_rows()]
    job, plan, dpo = at_work(tmp_path, rows, use="dpo")
    for module in job.model.modules():
        module.training = False
    assert step_of(job, plan, dpo) == pytest.approx(math.log(2), rel=1e-5)
    assert dpo.told()["margin"] == pytest.approx(0, abs=1e-5)
    kto = TERMS.build({"use": "kto"}).bind(job)
    assert step_of(job, plan, kto) == pytest.approx(0.5, rel=1e-4)
    assert kto.told()["reference_point"] == pytest.approx(0, abs=1e-5)


def test_dpo_tells_accuracy_margin_and_the_reward_of_the_chosen(tmp_path: Path) -> None:
    """Against sums asked for row by row before and after the weights moved."""
    job, plan, dpo = at_work(tmp_path, pair_rows(), use="dpo", beta=0.5)
    before = sums_now(job, job.rows)
    moved(job)
    ratio = 0.5 * (sums_now(job, job.rows) - before)
    margins = ratio[0::2] - ratio[1::2]
    for module in job.model.modules():
        module.training = False
    step_of(job, plan, dpo)
    told = dpo.told()
    assert told["margin"] == pytest.approx(float(margins.mean()), rel=1e-3, abs=1e-4)
    assert told["chosen"] == pytest.approx(float(ratio[0::2].mean()), rel=1e-3, abs=1e-4)
    assert told["accuracy"] == pytest.approx(float((margins > 0).float().mean()))


def test_the_reference_is_read_after_a_kill_and_made_anew_where_it_is_broken(tmp_path: Path) -> None:
    job, _, _ = at_work(tmp_path, pair_rows(), use="dpo")
    first = start_sums(job)
    moved(job)
    assert torch.equal(start_sums(job), first)
    [file] = job.folder.glob("start-sums-*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert not torch.equal(start_sums(job), first)


def test_the_reference_is_without_dropout_and_in_the_order_of_the_rows(tmp_path: Path) -> None:
    job, _, _ = at_work(tmp_path, pair_rows(), use="orpo")
    moved(job)
    wanted = []
    with torch.no_grad():
        for module in job.model.modules():
            module.training = False
        for number in range(len(job.rows)):
            [batch] = job.batches([number])
            wanted += answer_sums(job.forward.predictions(batch), ("supervised", "rejected")).tolist()
    assert start_sums(job).tolist() == pytest.approx(wanted, rel=1e-4)


def test_kto_takes_its_reference_point_from_prompts_with_the_answers_of_other_rows(tmp_path: Path) -> None:
    """Every answer is used once, never with its own prompt; z is the mean log ratio of those, or 0."""
    rows = pair_rows()
    crossed = crossed_rows(rows, seed=0)
    said = sorted(row.ids[row.trained[0] :] for row in crossed)
    assert said == sorted(row.ids[row.trained[0] : row.trained[-1] + 1] for row in rows)
    assert all(new.ids[: old.trained[0]] == old.ids[: old.trained[0]] for new, old in zip(crossed, rows, strict=True))
    job, plan, kto = at_work(tmp_path, rows, use="kto")
    before = sums_now(job, crossed)
    moved(job)
    step_of(job, plan, kto)
    wanted = max(0.0, float((sums_now(job, crossed) - before).mean()))
    assert kto.told()["reference_point"] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("term", "code"), [("dpo", "needs-pairs"), ("orpo", "needs-pairs"), ("kto", "needs-verdicts")])
def test_rows_that_a_term_cannot_read_are_told_with_the_setting_that_is_missing(
    tmp_path: Path, term: str, code: str
) -> None:
    with pytest.raises(UserError, match=r"tune\.phases: \[\{rows: (pairs|judged)") as caught:
        at_work(tmp_path, some_rows(4), use=term)
    assert caught.value.problems[0].code == code


def test_ipo_has_no_label_smoothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="label_smoothing"):
        at_work(tmp_path, pair_rows(), use="dpo", loss="ipo", label_smoothing=0.1)


def test_terms_that_read_the_same_positions_add_up_their_gradients(tmp_path: Path) -> None:
    """Weights 1 and 0.5: the gradient of both together is that of the first plus half that of the second."""
    job, plan, _ = at_work(tmp_path, pair_rows(), use="orpo")
    moved(job)
    for module in job.model.modules():
        module.training = False
    step, batches = plan.work(0)

    def gradient(*uses: dict[str, Any]) -> torch.Tensor:
        objective, weights = Objective.build(uses, job), trained_weights(job.model).values()
        job.model.zero_grad()
        for batch in batches:
            objective.backward(job.forward.predictions(batch), step)
        return torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])

    shown, odds = {"use": "cross_entropy"}, {"use": "orpo", "weight": 0.5}
    torch.testing.assert_close(gradient(shown, odds), gradient(shown) + gradient(odds), rtol=1e-3, atol=1e-6)
