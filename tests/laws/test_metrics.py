"""What every metric of the shelf must do."""

from __future__ import annotations

import random

import pytest

from tunesmith.core.types import Answer, Example, Message, Score, Usage
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.spec import MEASURES, METRICS, SCORERS
from tunesmith.evaluate.statistics import Sampling

QUICK = Sampling(resamples=100)
SETTINGS = {"cost_per_answer": {"prompt": 1.0, "answer": 2.0, "hour": 3.0}}


def rows(number: int, *, scored: bool = True) -> list[Row]:
    """Rows with every score, label, confidence and time; two of three right."""
    made = []
    for n in range(number):
        right = n % 3 != 0
        messages = (Message(role="user", content=f"q {n}"), Message(role="assistant", content="a cat sat on the mat"))
        answer = Answer(
            text="a cat sat on the mat" if right else "a dog sat on a mat",
            confidence=0.2 + 0.6 * right if scored else None,
            usage=Usage(prompt_tokens=9, answer_tokens=5 + n % 3, seconds=0.1 * (1 + n % 7) if scored else 0.0),
            stop="end" if scored else "error",
        )
        score = Score(value=float(right)) if scored else Score(value=None, unscored="answer-error")
        names = {"label", "exact_match", *(METRICS.get(name).scorer for name in METRICS.names())}
        label = "cat" if n % 2 else "dog"
        scores = dict.fromkeys(names, score)
        example = Example(id=f"ex-{n}", messages=messages, group=f"g{n // 2}")
        wrong = "cat" if n % 2 == 0 else None
        made.append(Row(example, answer, scores, expected=label, predicted=label if right else wrong))
    return made


def build(name: str) -> RowMetric:
    metric: RowMetric = METRICS.build({"use": name, **SETTINGS.get(name, {})})
    return metric


@pytest.mark.parametrize("name", METRICS.names())
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    """Also not for the interval: clusters are drawn, and they are named, not placed."""
    some = rows(40)
    mixed = random.Random(1).sample(some, len(some))
    first, second = build(name).measure(some, sampling=QUICK), build(name).measure(mixed, sampling=QUICK)
    assert first.value == pytest.approx(second.value)
    assert first.low == pytest.approx(second.low)
    assert first.high == pytest.approx(second.high)
    assert (first.n, first.unscored) == (second.n, second.unscored)


@pytest.mark.parametrize("name", METRICS.names())
def test_no_rows_are_unscored_and_not_zero(name: str) -> None:
    found = build(name).measure([], sampling=QUICK)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)


@pytest.mark.parametrize("name", METRICS.names())
def test_one_row_has_a_value(name: str) -> None:
    found = build(name).measure(rows(2)[1:], sampling=QUICK)
    assert found.value is not None
    assert found.n == 1


@pytest.mark.parametrize("name", METRICS.names())
def test_every_row_is_scored_or_counted_as_unscored(name: str) -> None:
    """Six good rows and four whose answers failed: nothing disappears, and the failed ones do not change the value.

    `valid_output` is the exception that says so: a failed answer is not a valid one, so it scores all ten.
    """
    good, bad = rows(10)[:6], rows(10, scored=False)[6:]
    found = build(name).measure([*good, *bad], sampling=QUICK)
    assert found.n + found.unscored == 10
    if name != "valid_output":
        assert found.unscored == 4
        assert found.value == pytest.approx(build(name).measure(good, sampling=QUICK).value)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_interval_holds_the_value(name: str) -> None:
    found = build(name).measure(rows(60), sampling=QUICK)
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("name", METRICS.names())
def test_a_model_differs_from_itself_by_nothing(name: str) -> None:
    some = rows(30)
    found = build(name).difference(some, some, sampling=QUICK)
    assert found.value == 0.0
    assert found.p == 1.0


@pytest.mark.parametrize("name", METRICS.names())
def test_the_difference_changes_sign_when_the_sides_change(name: str) -> None:
    some, other = rows(30), [row for row in rows(30) if row.example.id != "ex-4"]
    one, two = build(name).difference(some, other, sampling=QUICK), build(name).difference(other, some, sampling=QUICK)
    assert one.n == two.n == 29
    assert one.value == pytest.approx(-(two.value or 0.0))


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_is_described(name: str) -> None:
    """Its name is the file's name, and the profile check knows its range, unit and direction."""
    metric = build(name)
    assert metric.name == name
    assert MEASURES[name].unit == metric.unit
    assert METRICS.about(name)
    assert metric.scorer in ("", *SCORERS.names())
