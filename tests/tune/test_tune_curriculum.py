"""The curriculum by hand: which weight when, which unit first."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from tune_fakes import job_of, some_rows, spec, tiny_base

from tunesmith.core.errors import UserError
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row, Step, shared_prefix
from tunesmith.tune.curriculum import Shares, among_equals, difficulty
from tunesmith.tune.forward import choose_forward
from tunesmith.tune.objective import Objective, Part, Predictions, Running, Weighting
from tunesmith.tune.reading import reading_problems
from tunesmith.tune.stage import check


class Shown(Running):
    supervised = True


class Rewarded(Running):
    rewarded = True

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        return torch.ones(())


def objective(*terms: Running, shares: tuple[float, ...] = (0.9, 0.8, 0.7)) -> Objective:
    parts = tuple(Part(type(term).__name__, 2.0, term) for term in terms)
    return Objective(parts, Weighting(), Shares(shares))


def test_weight_moves_from_supervised_to_rewarded_terms_in_equal_thirds() -> None:
    """9 steps, weights 2: 2 * 0.9 against 2 * 0.1 in the first three, then 0.8 and 0.2, then 0.7 and 0.3."""
    made = objective(Shown(), Rewarded(), Running())
    weights = [made.weights(Step(number, 9, ())) for number in range(9)]
    assert [weight["Shown"] for weight in weights] == pytest.approx([1.8] * 3 + [1.6] * 3 + [1.4] * 3)
    assert [weight["Rewarded"] for weight in weights] == pytest.approx([0.2] * 3 + [0.4] * 3 + [0.6] * 3)
    assert {weight["Running"] for weight in weights} == {2.0}


def test_steps_that_do_not_divide_by_the_shares_and_no_shares_at_all() -> None:
    """4 steps in 3 parts: 0 * 3 // 4 = 0, 3 // 4 = 0, 6 // 4 = 1, 9 // 4 = 2."""
    made = objective(Shown(), Rewarded())
    assert [made.weights(Step(number, 4, ()))["Shown"] for number in range(4)] == [1.8, 1.8, 1.6, 1.4]
    assert objective(Shown(), Rewarded(), shares=()).weights(Step(0, 4, ())) == {"Shown": 2.0, "Rewarded": 2.0}


def test_shares_need_both_kinds_of_terms() -> None:
    parts = (Part("Shown", 1.0, Shown()),)
    with pytest.raises(UserError, match="nothing-to-divide"):
        Shares((0.9,)).check(parts)
    Shares().check(parts)


def test_difficulty_is_the_mean_loss_of_the_unit_and_is_kept(tmp_path: Path) -> None:
    """Three pairs; of each the better answer counts, against the model's own loss on it, row by row."""
    model = load_model(Path(tiny_base(tmp_path).path)).requires_grad_(False)
    rows = []
    for row in some_rows(3):
        rows += [row, Row(row.id, row.ids, row.trained, "rejected")]
    plan = Plan(rows, 2, 1, shared_prefix(rows), 10_000, 0, [(0, 1), (2, 3), (4, 5)])
    forward, _ = choose_forward(model, rows)
    job = job_of(model, forward, plan, tmp_path / "phase")
    found = difficulty(plan, job)
    for row, one in zip(rows[::2], found, strict=True):
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            said = model(ids).logits[0].log_softmax(-1)
        losses = [-float(said[place - 1, row.ids[place]]) for place in row.trained]
        assert one == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    assert difficulty(plan, job) == found


def test_labels_are_ranked_each_among_its_own() -> None:
    """Three rows say a (losses 1, 3, 2), two say b (9, 8): ranks 0, 2/3, 1/3 and 1/2, 0; five answers: losses."""
    losses = [1.0, 3.0, 2.0, 9.0, 8.0]
    assert among_equals(losses, ["a", "a", "a", "b", "b"]) == pytest.approx([0, 2 / 3, 1 / 3, 1 / 2, 0])
    assert among_equals(losses, ["a", "b", "c", "d", "e"]) == losses


def test_easy_units_come_before_hard_ones() -> None:
    """20 units in ten levels of two: the order of the levels is fixed, that inside a level is not."""
    hard = [float(number) for number in range(20)]
    random.Random(0).shuffle(hard)
    plan = Plan(some_rows(20), 2, 1, 0, 10_000, 0, difficulty=hard)
    levels = [{int(hard[number]) // 2 for number in plan.numbers(step)} for step in range(10)]
    assert levels == [{level} for level in range(10)]


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"objective": [{"use": "dpo"}]}, "tune.objective[0]"),
        ({"phases": [{"objective": [{"use": "kto"}]}]}, "tune.phases[0].objective[0]"),
        ({"curriculum": {"supervised": [0.9]}}, "tune.curriculum.supervised"),
        ({"phases": [{"rows": "pairs", "objective": [{"use": "cross_entropy"}, {"use": "dpo"}]}]}, ""),
    ],
)
def test_phases_that_do_not_read_what_their_terms_need_are_told_by_check(section: dict[str, Any], place: str) -> None:
    assert [problem.path for problem in reading_problems(spec(**section))] == ([place] if place else [])
    assert [problem.path for problem in check(spec(**section), Path())] == ([place] if place else [])
