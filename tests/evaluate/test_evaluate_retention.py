"""The general suite and what follows from it."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from evaluate_fakes import FakeModel

from tunesmith.core.events import Events
from tunesmith.core.types import Example, Measure, Message, Split
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.retention import (
    APART,
    General,
    ask_general,
    chosen_items,
    general_measures,
    general_overlap,
    items,
    passages,
    question_text,
)
from tunesmith.evaluate.spec import RetentionSpec
from tunesmith.evaluate.statistics import Sampling

QUICK = Sampling(resamples=500)


def asked(model: FakeModel, languages: tuple[str, ...] = ("en",)) -> General:
    return ask_general(model, RetentionSpec(), languages=languages, events=Events(), stage="test")


def measured(expert: FakeModel, base: FakeModel) -> list[Measure]:
    return general_measures(asked(expert), asked(base), QUICK)


def value(measures: list[Measure], name: str) -> Measure:
    found = find(measures, name)
    assert found is not None and found.value is not None
    return found


def test_the_suite_is_whole_and_balanced() -> None:
    """160 English and 12 Chinese questions, four different answers each, right ones spread evenly over the places."""
    places = Counter(item.answer for item in items())
    assert (len(items()), len(passages())) == (172, 40)
    assert max(places.values()) - min(places.values()) <= 1
    assert all(len(set(item.options)) == 4 for item in items())
    assert len({item.id for item in items()}) == 172
    assert all(30 <= len(text.split()) <= 80 for text in passages().values())


def test_chinese_is_asked_only_where_the_profile_names_it() -> None:
    spec = RetentionSpec()
    assert len(chosen_items(spec, ["en"])) == 160
    assert len(chosen_items(spec, ["en", "zh-CN"])) == 172


def test_a_small_sample_holds_every_skill() -> None:
    """Skills are interleaved: the first 32 questions hold all seven."""
    assert len({item.skill for item in chosen_items(RetentionSpec(items=32), ["en"])}) == 7


def test_nothing_lost_is_exactly_one() -> None:
    model = FakeModel("m", {})
    found = measured(model, model)
    retention = value(found, "retention")
    assert (retention.value, retention.low, retention.high) == (1.0, 1.0, 1.0)
    assert value(found, "general_perplexity_ratio").value == 1.0


def test_retention_is_the_worse_of_accuracy_and_prediction() -> None:
    """Prose from 3.0 to 3.2 nats: 3 / 3.2 = 0.9375, perplexity e**0.2 = 1.2214 times; no question was lost."""
    found = measured(FakeModel("m", {}, nats=3.2), FakeModel("b", {}, nats=3.0))
    assert value(found, "retention").value == pytest.approx(0.9375)
    assert value(found, "general_perplexity_ratio").value == pytest.approx(math.exp(0.2))


def test_lost_questions_are_counted_by_skill() -> None:
    """The base knows the first 100 questions, the expert 50: about half of the accuracy is kept (Chinese left out)."""
    expert, base = FakeModel("m", {}, knows=50), FakeModel("b", {}, knows=100)
    found = measured(expert, base)
    known = [sum(item.skill != APART for item in items()[:number]) for number in (50, 100)]
    retention = value(found, "retention")
    assert retention.value == pytest.approx(known[0] / known[1])
    assert retention.low is not None and retention.high is not None
    assert retention.low < known[0] / known[1] < retention.high < 0.7
    skills = {m.slice for m in found if m.slice.startswith("skill=")}
    assert len(skills) == 7


def test_chinese_is_shown_apart_and_never_counted_in_the_main_figure() -> None:
    expert, base = (asked(FakeModel(n, {}, knows=172), ("en", "zh")) for n in "eb")
    blind = General({k: v and not k.startswith(APART) for k, v in expert.right.items()}, expert.nats)
    found = general_measures(blind, base, QUICK)
    assert value(found, "retention").value == 1.0
    lost = find(found, "general_accuracy", slice=f"skill={APART}")
    assert lost is not None and lost.value == 0.0


def test_likelihoods_that_are_no_numbers_are_unscored_and_told() -> None:
    """A wrecked model may give NaN everywhere: nothing can be compared, and nothing is invented."""
    broken = asked(FakeModel("m", {}, nats=math.nan))
    assert len(broken.unscored) == 40
    found = general_measures(broken, asked(FakeModel("b", {})), QUICK)
    assert find(found, "retention") is None
    assert value(found, "general_accuracy").unscored == 40


def test_what_was_asked_survives_the_file() -> None:
    general = asked(FakeModel("m", {}))
    assert General.of(general.records()) == general


def test_a_row_of_the_suite_cannot_be_trained_on() -> None:
    """The first question with its right answer, and a passage inside a longer text; a wrong answer is another row."""
    item, (key, text) = items()[0], next(iter(passages().items()))
    right, wrong = item.options[item.answer], item.options[item.answer - 1]

    def row(asked: str, said: str, split: Split) -> Example:
        turns = (Message(role="user", content=asked), Message(role="assistant", content=said))
        return Example(id="ex", messages=turns, split=split, place=f"{split}.jsonl:1")

    found = general_overlap(
        [
            row(question_text(item).upper(), f"It is {right}.", "general"),
            row(item.question, f"{wrong}.", "general"),
            row("Say something.", f"Well. {text}", "train"),
            row(item.question, right, "test"),
        ]
    )
    assert [(p.code, p.path) for p in found] == [
        ("retention-leak", "general.jsonl:1"),
        ("retention-leak", "train.jsonl:1"),
    ]
    assert item.id in found[0].message and key in found[1].message
