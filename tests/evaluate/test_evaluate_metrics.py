"""Metrics against scikit-learn, sacrebleu and rouge-score, and against figures worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from evaluate_rows import answered, example, scored

from tunesmith.core.types import Answer, Score
from tunesmith.evaluate.metrics.accuracy import Accuracy
from tunesmith.evaluate.metrics.bleu import Bleu
from tunesmith.evaluate.metrics.calibration_error import CalibrationError
from tunesmith.evaluate.metrics.f1 import F1
from tunesmith.evaluate.metrics.latency_p95_ms import LatencyP95Ms
from tunesmith.evaluate.metrics.precision import Precision
from tunesmith.evaluate.metrics.recall import Recall
from tunesmith.evaluate.metrics.rouge_l import RougeL
from tunesmith.evaluate.metrics.tokens_per_second import TokensPerSecond
from tunesmith.evaluate.metrics.valid_output import ValidOutput
from tunesmith.evaluate.rows import Row

LABELS = ("a", "b", "c", "d")
SENTENCES = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("there is a dog in the garden", "a dog is in the garden"),
    ("it rains in the mountains today", "today it rains in the mountains"),
    ("nothing is the same", "completely different words here"),
]


@pytest.mark.parametrize("seed", range(5))
def test_label_measures_equal_scikit_learn(seed: int) -> None:
    """Random labels, a fifth of the answers outside the set; class d is answered but never expected."""
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    random_ = random.Random(seed)
    expected = [random_.choice("abc") for _ in range(97)]
    answers = [random_.choice(["a", "b", "c", "d", "no idea"]) for _ in expected]
    rows = scored(list(zip(expected, answers, strict=True)), labels=LABELS)
    kept = {"labels": ["a", "b", "c"], "average": "macro", "zero_division": 0}
    assert Accuracy().measure(rows).value == pytest.approx(accuracy_score(expected, answers))
    assert F1().measure(rows).value == pytest.approx(f1_score(expected, answers, **kept))
    assert Precision().measure(rows).value == pytest.approx(precision_score(expected, answers, **kept))
    assert Recall().measure(rows).value == pytest.approx(recall_score(expected, answers, **kept))
    alone = f1_score(expected, answers, labels=["b"], average="macro", zero_division=0)
    assert F1(of="b").measure(rows).value == pytest.approx(alone)


def test_per_class_figures_by_hand() -> None:
    """a: 3 expected, 2 found, 1 answered wrongly for b. Recall 2/3, precision 2/3, F1 2*2/(3+3) = 2/3.

    n is the denominator: 3 rows expect a, 3 are answered a, 4 are one or the other.
    """
    rows = scored([("a", "a"), ("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")], labels=LABELS)
    found = [metric.measure(rows) for metric in (Recall(of="a"), Precision(of="a"), F1(of="a"))]
    assert [m.value for m in found] == pytest.approx([2 / 3] * 3)
    assert [m.n for m in found] == [3, 3, 4]


def test_an_answer_outside_the_set_is_wrong_and_invalid() -> None:
    """Of four answers one is right, one wrong, two outside the set: accuracy 1/4, valid output 2/4."""
    rows = scored([("a", "A."), ("a", "b"), ("a", "probably a"), ("a", "")], labels=LABELS)
    assert Accuracy().measure(rows).value == 0.25
    assert ValidOutput().measure(rows).value == 0.5


def test_free_text_is_valid_when_it_ended_by_itself() -> None:
    texts = [Answer(text="x"), Answer(text="x", stop="length"), Answer(text=" "), Answer(text="x", stop="error")]
    rows = [Row(example(n, "y"), answer) for n, answer in enumerate(texts)]
    assert ValidOutput().measure(rows).value == 0.25


def test_rouge_equals_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    judge = RougeScorer(["rougeL"])
    wanted = np.mean([judge.score(reference, answer)["rougeL"].fmeasure for reference, answer in SENTENCES])
    assert RougeL().measure(scored(SENTENCES)).value == pytest.approx(float(wanted))


def test_rouge_of_chinese_counts_characters() -> None:
    """大家好 and 大家早: longest common run of characters 2 of 3 on either side, F = 2/3. rouge-score alone says 0."""
    assert RougeL().measure(scored([("大家好", "大家早")])).value == pytest.approx(2 / 3)


@pytest.mark.parametrize("pairs", [SENTENCES, [("今天天气很好", "今天天气不好"), ("我喜欢喝茶", "我喜欢喝茶")]])
def test_bleu_equals_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    import sacrebleu

    tokenizer = "13a" if pairs is SENTENCES else "zh"
    references, answers = zip(*pairs, strict=True)
    wanted = sacrebleu.corpus_bleu(list(answers), [list(references)], tokenize=tokenizer).score
    assert Bleu().measure(scored(pairs)).value == pytest.approx(wanted / 100)


def test_latency_is_the_smallest_time_that_95_of_100_stay_under() -> None:
    """Times 0.1, 0.2, ... 2.0 s: 19 of 20 rows, 95 %, take at most 1.9 s."""
    rows = scored([("x", "y")] * 20)
    assert LatencyP95Ms().measure(rows).value == pytest.approx(1900)


def test_tokens_per_second_is_a_ratio_of_sums() -> None:
    """Three answers of 5 tokens in 0.1 + 0.2 + 0.3 s: 15 / 0.6 = 25."""
    assert TokensPerSecond().measure(scored([("x", "y")] * 3)).value == pytest.approx(25)


def test_calibration_error_by_hand() -> None:
    """Bin 0.9: two rows, one right, gap |0.5 - 0.9| = 0.4; bin 0.2: two wrong, gap 0.2. Mean 0.3."""
    right, wrong = {"label": Score(value=1.0)}, {"label": Score(value=0.0)}
    pairs = [(0.9, right), (0.9, wrong), (0.2, wrong), (0.2, wrong)]
    rows = [Row(example(n, "x"), answered("x", confidence=c), s) for n, (c, s) in enumerate(pairs)]
    assert CalibrationError().measure(rows).value == pytest.approx(0.3)


def test_rows_of_one_group_widen_the_interval() -> None:
    """100 rows in 10 groups whose rows all agree are worth about 10 rows, not 100."""
    pairs = [("a", "a" if n // 10 % 2 else "b") for n in range(100)]
    alone = Accuracy().measure(scored(pairs, labels=LABELS))
    grouped = Accuracy().measure(scored(pairs, labels=LABELS, groups=[f"g{n // 10}" for n in range(100)]))
    assert alone.value == grouped.value == 0.5
    assert (grouped.high or 0) - (grouped.low or 0) > 2 * ((alone.high or 0) - (alone.low or 0))
