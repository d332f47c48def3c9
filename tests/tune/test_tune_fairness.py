"""The fairness constraint by hand: two groups, their gaps, what rows count, how multipliers rise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tune_fakes import job_of, tiny_base

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Profile
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, Row
from tunesmith.tune.forward import PlainForward
from tunesmith.tune.lagrangian import Cells, gaps, risen
from tunesmith.tune.objective import TERMS, Job

LABELS = ("yes", "no")


def exact(*numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_gaps_by_hand() -> None:
    """Group 0: 4 rows whose p add up to 3 (mean 0.75); group 1: 1 row with 0.25. All: 3.25 / 5 = 0.65."""
    found = gaps(exact([[3.0]], [[0.25]]), exact([4.0], [1.0]))
    assert found.flatten().tolist() == pytest.approx([0.10, -0.40])
    assert gaps(exact([[3.0]], [[0.0]]), exact([4.0], [0.0])).flatten().tolist() == [0.0, 0.0]


def test_what_a_row_counts_by_hand() -> None:
    """Shares 0.8 and 0.2, net multipliers 0 and 1 on p: the Lagrangian is mean of group 1 less the mean of all.

    A row of group 1 counts 1 / 0.2 - 1 = 4, one of group 0 counts -1. With the p of the test above (0.75 and 0.25) the
    mean over five rows is (4 * -1 * 0.75 + 4 * 0.25) / 5 = -0.4: the gap of group 1.
    """
    cells = Cells.of([0, 0, 0, 0, 1], [0] * 5, shape=(2, 1))
    weights = cells.row_weights(exact([[0.0]], [[1.0]]))
    assert weights.flatten().tolist() == pytest.approx([-1.0, 4.0])
    assert (4 * float(weights[0]) * 0.75 + float(weights[1]) * 0.25) / 5 == pytest.approx(-0.4)


def test_a_cell_without_rows_bounds_nothing() -> None:
    cells = Cells.of([0, 1, 1], [0, 0, 1], shape=(2, 2))
    weights = cells.row_weights(torch.ones(2, 2, 1, dtype=torch.float64))
    assert weights[0, 1].item() == 0.0
    assert weights[1, 1].item() == 0.0  # the only group with this label is all rows with it


def test_multipliers_rise_with_what_is_beyond_the_slack_and_fall_to_0_within_it() -> None:
    """Gap 0.1 with slack 0.05 and rate 2: +0.1; the other side, -0.1 - 0.05: from 0.2 down 0.3, but not below 0."""
    before = torch.stack([exact([[0.0]]), exact([[0.2]])])
    after = risen(before, exact([[0.1]]), slack=0.05, rate=2.0, at_most=10.0)
    assert after.flatten().tolist() == pytest.approx([0.1, 0.0])
    assert risen(before, exact([[0.9]]), slack=0.0, rate=100.0, at_most=10.0).flatten().tolist() == [10.0, 0.0]


def job(tmp_path: Path, groups: str, said: list[str], **told: Any) -> tuple[Job, Plan]:
    """Rows with one question each, the groups as letters (a dash: none)."""
    base = tiny_base(tmp_path)
    chat = Chat.of(base.path)
    rows, examples = [], {}
    for number, (group, label) in enumerate(zip(groups, said, strict=True)):
        asked = (1, 30 + number, 2, 1)
        answer = tuple(chat.completion(label))
        places = tuple(range(len(asked), len(asked) + len(answer)))
        rows.append(Row(f"ex-{number}", asked + answer, places))
        attributes = {} if group == "-" else {"sex": group}
        examples[f"ex-{number}"] = Example(id=f"ex-{number}", messages=(), attributes=attributes)
    values = {"problem": "test", "task": "classification", "labels": LABELS, "protect": ("sex",), **told}
    model = load_model(Path(base.path)).requires_grad_(False)
    plan = Plan(rows, len(rows), 1, 0, 10_000, 0)
    fields = {"profile": Profile(**values), "examples": lambda: examples, "base_path": Path(base.path)}
    return job_of(model, PlainForward(model), plan, tmp_path / "phase", **fields), plan


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_term_reads_the_models_own_probabilities_and_its_multipliers_follow_the_gap(
    temperature: float, tmp_path: Path
) -> None:
    """Demographic parity over 4 rows: the gap is that of p(yes) = softmax over the two labels' tokens, row by row."""
    made, plan = job(tmp_path, "mmfm", ["yes", "no", "no", "yes"])
    settings = {"kind": "demographic_parity", "slack": 0.0, "multiplier_rate": 2, "temperature": temperature}
    term = TERMS.build({"use": "fairness", **settings}).bind(made)
    yes, no = (Chat.of(made.base_path).completion(label)[0] for label in LABELS)
    said = []
    for row in made.rows:
        with torch.no_grad():
            logits = made.model(torch.tensor([row.ids[: row.trained[0]]])).logits[0, -1]
        said.append(float((logits[[yes, no]] / temperature).softmax(-1)[0]))
    step, [batch] = plan.work(0)
    term.begin(step)
    value = term.value(made.forward.predictions(batch), step)
    assert value is not None and float(value) == 0.0
    mean, men = sum(said) / 4, (said[0] + said[1] + said[3]) / 3
    gap = max(abs(men - mean), abs(said[2] - mean))
    assert term.told() == {"gap": pytest.approx(gap, rel=1e-4), "multiplier": 0.0, "rows": 4.0}
    term.after_step(0)
    term.begin(step)
    assert term.tensors()["multipliers"].max().item() == pytest.approx(2 * gap, rel=1e-4)
    value = term.value(made.forward.predictions(batch), step)
    by_hand = 2 * (2 * (men - mean) ** 2 + 2 * (said[2] - mean) ** 2)
    assert float(value if value is not None else 0) == pytest.approx(by_hand, rel=1e-3)


def test_rows_without_a_group_or_a_label_are_counted_and_left_out(tmp_path: Path) -> None:
    made, plan = job(tmp_path, "mf-f", ["yes", "no", "yes", "perhaps"])
    heard: list[Any] = []
    with made.events.heard_by(heard.append):
        term = TERMS.build({"use": "fairness"}).bind(made)
    assert heard[0].data == {"without_group": 1, "without_label": 1}
    step, [batch] = plan.work(0)
    term.begin(step)
    term.value(made.forward.predictions(batch), step)
    assert term.told()["rows"] == 2.0


@pytest.mark.parametrize(
    ("told", "settings", "code"),
    [
        ({"labels": ()}, {}, "needs-labels"),
        ({"labels": ("yes", "yes and no", "no")}, {}, "labels-begin-alike"),
        ({"protect": ("sex", "age")}, {}, "which-attribute"),
        ({}, {"attribute": "sexx"}, "unknown-attribute"),
    ],
)
def test_what_does_not_fit_is_told_with_its_setting(
    tmp_path: Path, told: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    made, _ = job(tmp_path, "mf", ["yes", "no"], **told)
    with pytest.raises(UserError) as caught:
        TERMS.build({"use": "fairness", **settings}).bind(made)
    assert caught.value.problems[0].code == code


def test_one_group_is_nothing_to_compare(tmp_path: Path) -> None:
    made, _ = job(tmp_path, "mm", ["yes", "no"])
    with pytest.raises(UserError, match="needs-groups"):
        TERMS.build({"use": "fairness"}).bind(made)
