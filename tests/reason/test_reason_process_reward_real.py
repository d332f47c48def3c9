"""A head over steps trained on real solutions: labels by hand, and right told from wrong on other questions."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from gsm_chains import Solved, lines_of, solved, without_annotations
from tunesmith.reason.step_head import StepHead, features, labelled

Floats = NDArray[np.float64]

WORKED = "She sells 16 - 3 - 4 = 9 eggs.\nShe makes 9 * 2 = 18 dollars.\nA: 18"


@pytest.mark.parametrize(
    ("written", "right", "labels"),
    [
        ("She uses 3 + 4 = 7 eggs.\nShe sells 16 - 7 = 9.\nSo 9 * 2 = 18.", True, [True, True, True]),
        ("She sells 16 - 3 - 4 = 9.\nShe makes 9 + 2 = 11.\nA: 11", False, [True, False, None]),
        ("She sells 16 - 3 - 4 = 8.\nShe makes 8 * 2 = 16.", False, [False, None]),
        ("Let me think.\nShe sells 16 - 3 - 4 = 9.\nA: 9", False, [None, True, False]),
        ("", False, []),
    ],
)
def test_steps_are_labelled_by_the_conclusion_and_a_worked_solution(
    written: str, right: bool, labels: Sequence[bool | None]
) -> None:
    assert labelled(written, right=right, worked=WORKED) == labels


def auroc(values: Floats, right: NDArray[np.bool_]) -> float:
    """The chance that a right chain has a higher value than a wrong one, ties half."""
    above = np.subtract.outer(values[right], values[~right])
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def least(head: StepHead, row: Solved, text: str) -> float:
    """How likely right the least likely step of a chain is."""
    return min((head.probability(x) for _, x in features(row.question, text)), default=0.0)


@pytest.mark.slow
def test_a_head_trained_on_half_of_the_questions_tells_right_chains_from_wrong_ones_of_the_others() -> None:
    """A chain's value is that of its least likely step; the head never saw the questions that it is judged on.

    It tells them better than chance, by little: the interval (questions resampled) lies above 0.5.
    """
    worked = [without_annotations(json.loads(line)["ground_truth"])[0] for line in lines_of("model_solutions.jsonl")]
    rows = solved(None)
    half = np.random.default_rng(0).permutation(len(rows)) < len(rows) // 2
    taught: list[tuple[list[float], bool]] = []
    for row, text, chosen in zip(rows, worked, half, strict=True):
        for one in row.solutions if chosen else ():
            labels = labelled(one.text, right=one.right, worked=text)
            rows_F = [x for _, x in features(row.question, one.text)]
            taught += [(x, label) for x, label in zip(rows_F, labels, strict=True) if label is not None]
    head = StepHead.fit([x for x, _ in taught], [label for _, label in taught])
    asked = [row for row, chosen in zip(rows, half, strict=True) if not chosen]
    value_QP = np.array([[least(head, row, one.text) for one in row.solutions] for row in asked])
    right_QP = np.array([[one.right for one in row.solutions] for row in asked])
    draws = np.random.default_rng(1).integers(0, len(asked), (200, len(asked)))
    low, high = np.quantile([auroc(value_QP[some], right_QP[some]) for some in draws], (0.025, 0.975))
    print(f"{len(taught)} labelled steps; AUROC {auroc(value_QP, right_QP):.3f} ({low:.3f} to {high:.3f})")
    assert low > 0.5
