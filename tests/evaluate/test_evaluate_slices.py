"""The search for slices that got worse: it finds what was planted, and hardly ever what is not there."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.types import Answer, Example, Message, Score
from tunesmith.evaluate.findings import stronger_base
from tunesmith.evaluate.gates import slices_reason
from tunesmith.evaluate.measuring import Sides
from tunesmith.evaluate.metrics.accuracy import Accuracy
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.slices import Found, candidates, change_p, find_worse
from tunesmith.evaluate.statistics import Sampling, mcnemar_p

SAMPLING = Sampling(resamples=100)
WORDS = ("loan", "house", "car", "garden", "travel", "school")


def rows(values: np.ndarray, *, group: int = 1, attributes: int = 3) -> list[Row]:
    """One row per value, scored with it; the texts and attributes follow from its number."""
    made = []
    for n, value in enumerate(values):
        text = f"about {WORDS[n % 6]} and {WORDS[(n // 6) % 6]}" + (" 12" if n % 5 == 0 else "")
        facts = {
            "region": ["north", "south", "east", "west"][n % 4],
            "sex": "fm"[n % 2],
            "age": ["old", "young"][n // 7 % 2],
        }
        example = Example(
            id=f"ex-{n}",
            messages=(Message(role="user", content=text), Message(role="assistant", content="a")),
            attributes=dict(list(facts.items())[:attributes]),
            group=None if group == 1 else f"g{n // group}",
        )
        made.append(Row(example, Answer(text="a"), {"label": Score(value=float(value))}, expected="a", predicted="a"))
    return made


def search(ours: np.ndarray, theirs: np.ndarray, *, group: int = 1) -> Found:
    return find_worse(rows(ours, group=group), rows(theirs, group=group), Accuracy(), scorer="label", sampling=SAMPLING)


def test_the_search_is_against_the_base_that_is_right_more_often() -> None:
    """By its own words the base is never right, by likelihood on 6 of the 10 rows that were asked so: those count."""
    own, fair = rows(np.zeros(20)), rows(np.array([1.0] * 6 + [0.0] * 4))
    assert stronger_base(Sides([], own, fair), "label") == ("base_fair", fair)
    good = rows(np.ones(20))
    assert stronger_base(Sides([], good, fair), "label") == ("base", good)
    assert stronger_base(Sides([], own), "label") == ("base", own)


@pytest.mark.parametrize("group", [1, 3])
def test_a_planted_slice_is_found_and_named(group: int) -> None:
    """The expert is better everywhere but in the south, where it loses 40 points: 600 rows, 150 of them there."""
    random = np.random.default_rng(1)
    base = (random.random(600) < 0.7).astype(float)
    ours = np.maximum(base, (random.random(600) < 0.3).astype(float))
    south = np.arange(600) % 4 == 1
    ours[south] = base[south] * (random.random(south.sum()) < 0.4)
    found = search(ours, base, group=group)
    names = [m.slice for m in found.worse]
    assert "region=south" in names[:3]
    first = next(m for m in found.worse if m.slice == "region=south")
    assert first.n == 150 and (first.value or 0) < -0.3
    assert first.p_adjusted is not None and first.p is not None and first.p <= first.p_adjusted < 0.05
    assert slices_reason(found, ["region=south"]).verdict == "failed"
    assert slices_reason(found, ["region=north"]).verdict == "passed"
    assert found.tried > 20


@pytest.mark.parametrize(("repeats", "most"), [(40, 6), pytest.param(600, 30, marks=pytest.mark.slow)])
def test_where_nothing_changed_hardly_any_slice_is_named(repeats: int, most: int) -> None:
    """Both are right by the same chance: a false slice in at most 5 % of the searches (600: at most 30)."""
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(repeats):
        ours, theirs = ((random.random(160) < 0.7).astype(float) for _ in range(2))
        alarms += bool(search(ours, theirs).worse)
    assert alarms <= most


def test_candidates_are_attributes_their_pairs_and_features_of_the_text_each_once() -> None:
    found = candidates(rows(np.ones(60)))
    assert {"region=north", "age=old & sex=f", "question=number", "question=long", "word=loan", "label=a"} <= set(found)
    assert len({mask.tobytes() for mask in found.values()}) == len(found)
    assert "region=north & sex=f" not in found  # every row of the north is f: the same rows


def test_the_tests_of_all_slices_are_the_ones_of_each() -> None:
    """Single rows: exact McNemar. In groups of two that agree: sign flips, p near 2 / 2^5 groups."""
    change = np.array([1.0] * 7 + [-1.0] + [0.0] * 8)
    inside = np.stack([np.ones(16), np.arange(16) < 7], axis=1).astype(float)
    alone = change_p(change, inside, np.arange(16))
    assert alone == pytest.approx([18 / 256, 2 / 128])
    assert alone[0] == pytest.approx(mcnemar_p((change > 0).astype(float), (change < 0).astype(float)))
    five = change_p(np.repeat([-0.5] * 5 + [0.0] * 3, 2), np.ones((16, 1)), np.arange(16) // 2)
    assert five[0] == pytest.approx(2 / 32, abs=0.01)


def test_no_rows_and_no_scores_are_no_slices() -> None:
    assert search(np.zeros(0), np.zeros(0)) == Found(0, ())
    unscored = [Row(r.example, r.answer, {"label": Score(value=None, unscored="x")}) for r in rows(np.ones(30))]
    assert find_worse(unscored, unscored, Accuracy(), scorer="label", sampling=SAMPLING) == Found(0, ())
