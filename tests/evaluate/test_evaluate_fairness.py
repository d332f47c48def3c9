"""Fairness: fairlearn's figures, intervals that cover, alarms that are rare, gaps that are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from evaluate_fakes import profile_of
from numpy.typing import NDArray
from scipy.stats import binom

from tunesmith.core.types import Answer, Example, Message
from tunesmith.evaluate.fairness.gaps import (
    Cell,
    corrected_wilson,
    largest_gap,
    largest_mean_gap,
    smallest_ratio,
    smallest_share,
)
from tunesmith.evaluate.fairness.measures import fairness_measures
from tunesmith.evaluate.fairness.rates import GAPS, RATES, difference, gap, group_rates, members
from tunesmith.evaluate.findings import comparable
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.spec import FairnessSpec

LABELS = ("good", "bad")
Flags = NDArray[np.bool_]


def tables(number: int, seed: int) -> Iterator[tuple[Flags, Flags, NDArray[np.str_]]]:
    """Random truths, answers and groups out of four; in most some group is empty, or has no row to take a rate over."""
    random = np.random.default_rng(seed)
    for _ in range(number):
        rows = int(random.integers(3, 40))
        truth, said = (random.random(rows) < random.random() for _ in range(2))
        yield truth, said, np.array(list("abcd"))[random.integers(0, random.integers(1, 5), rows)]


def check_against_fairlearn(number: int, seed: int) -> int:
    """Every rate by group and every gap; returns how many groups were empty.

    One MetricFrame holds all tables as levels of a control feature: fairlearn then takes the product of tables and
    groups, says NaN of the groups that a table has not, and a difference per table.
    """
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score, precision_score

    def precision(truth: Any, said: Any) -> float:
        return float(precision_score(truth, said, zero_division=0))

    theirs = (selection_rate, true_positive_rate, false_positive_rate, precision, accuracy_score)
    made = list(tables(number, seed))
    frame = MetricFrame(
        metrics=dict(zip(RATES, theirs, strict=True)),
        y_true=np.concatenate([truth for truth, _, _ in made]).astype(int),
        y_pred=np.concatenate([said for _, said, _ in made]).astype(int),
        sensitive_features=np.concatenate([groups for _, _, groups in made]),
        control_features=np.repeat(np.arange(number), [len(truth) for truth, _, _ in made]),
    )
    by_group, apart = frame.by_group.astype(float), frame.difference(method="between_groups").astype(float)
    for table, (truth, said, groups) in enumerate(made):
        member = (groups[:, None] == np.array(list("abcd"))).astype(float)
        there = member.any(axis=0)
        for rate in RATES:
            mine = group_rates(rate, truth, said, member, empty=0.0)
            np.testing.assert_allclose(mine[0][there], by_group.loc[table][rate].to_numpy()[there], rtol=0, atol=1e-12)
            assert abs(gap(mine[:, there])[0] - apart.loc[table, rate]) <= 1e-12
        odds = max(apart.loc[table, "true_positive_rate"], apart.loc[table, "false_positive_rate"])
        assert abs(difference("equalized_odds_difference", truth, said, member[:, there], empty=0.0)[0] - odds) <= 1e-12
    return int(by_group["accuracy"].isna().sum())


def test_rates_and_gaps_equal_fairlearn() -> None:
    """30 random tables, a third of whose groups are empty, and fairlearn's own functions by name on one of them."""
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="needs fairlearn: pip install tunesmith[fairness]")
    assert check_against_fairlearn(30, seed=1) > 20
    truth, said, groups = next(table for table in tables(9, seed=3) if len(set(table[2])) == 3)
    for name in set(GAPS) - {"predictive_parity_difference"}:
        mine = difference(name, truth, said, members(groups)[1], empty=0.0)[0]
        wanted = getattr(fairlearn, name)(truth.astype(int), said.astype(int), sensitive_features=groups)
        assert abs(mine - float(wanted)) <= 1e-12


@pytest.mark.slow
def test_rates_and_gaps_equal_fairlearn_on_ten_thousand_tables() -> None:
    pytest.importorskip("fairlearn", reason="needs fairlearn: pip install tunesmith[fairness]")
    assert sum(check_against_fairlearn(500, seed=seed) for seed in range(20)) > 5_000


def test_a_group_without_right_answers_of_a_kind_is_left_out_and_not_taken_for_zero() -> None:
    """Group b has no row whose right answer is favourable: its true positive rate is not known, and no gap of 1."""
    truth, said = np.array([True, True, False, False]), np.array([True, True, False, False])
    member = members(np.array(["a", "a", "b", "b"]))[1]
    assert difference("equal_opportunity_difference", truth, said, member)[0] == 0.0
    assert difference("equal_opportunity_difference", truth, said, member, empty=0.0)[0] == 1.0


def test_gaps_by_hand_and_by_weights() -> None:
    """a: 3 of 4 selected, b: 1 of 4; gap 0.5. Without a's unselected row: 1 - 0.25 = 0.75."""
    said = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    member = members(np.array(list("aaaabbbb")))[1]
    weights = np.ones((2, 8))
    weights[1, 3] = 0
    found = difference("demographic_parity_difference", said, said, member, weights_RN=weights)
    assert found == pytest.approx([0.5, 0.75])


def cells(shares: dict[str, float], n: int, random: np.random.Generator, *, rate: str = "r") -> list[Cell]:
    ids = [str(k) for k in range(n)]
    return [Cell("sex", g, rate, (random.random(n) < p).astype(float), ids) for g, p in shares.items()]


def coverage(planted: float, *, repeats: int, n: int) -> dict[str, float]:
    """Shares over `repeats` of tables with a gap of `planted` in both rates of equalised odds, n rows each cell."""
    random = np.random.default_rng(round(1000 * planted) + 17)
    held = alarms = 0
    for _ in range(repeats):
        found = largest_gap(
            [
                *cells({"a": 0.7, "b": 0.7 - planted}, n, random, rate="true_positive_rate"),
                *cells({"a": 0.3, "b": 0.3 - planted}, n, random, rate="false_positive_rate"),
            ],
            level=0.95,
        ).interval
        assert found.low is not None and found.high is not None
        held += found.low <= planted + 1e-12 and planted <= found.high
        alarms += found.low > 0
    return {"covered": held / repeats, "alarms": alarms / repeats}


@pytest.mark.parametrize(
    "planted", [0.0, pytest.param(0.05, marks=pytest.mark.slow), 0.10, pytest.param(0.20, marks=pytest.mark.slow)]
)
def test_planted_gaps_are_covered_and_found(planted: float) -> None:
    """200 repeats with 1,300 rows of each group and right answer (5,200 rows): at 0 alarms are rare, from 10 points on
    the gap is found.

    A gap of 10 points between 0.7 and 0.6 has a standard error of sqrt((0.21 + 0.24) / 1300) = 0.0186; with two rates
    looked at the level of each is 97.5 %, z = 2.24; so it is found when the estimate exceeds 0.042, 3.1 errors below
    the truth, in either of two rates: more than 99.9 %.
    """
    found = coverage(planted, repeats=200, n=1300)
    assert found["covered"] >= 0.93
    if planted == 0.0:
        assert found["alarms"] <= 0.05
    if planted >= 0.10:
        assert found["alarms"] >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("groups", [2, 5])
def test_intervals_cover_for_many_groups_and_small_ones(groups: int) -> None:
    """4,000 repeats with 25 rows a group, all alike: alarms in at most 5 %, whatever the number of groups.

    Without continuity correction two groups with a share of 0.4 gave 5.8 % here (232 alarms).
    """
    random = np.random.default_rng(3)
    shares = {str(g): 0.4 for g in range(groups)}
    alarms = sum((largest_gap(cells(shares, 25, random), level=0.95).interval.low or 0) > 0 for _ in range(4000))
    assert alarms / 4000 <= 0.05


def chance_of_alarm(n: int, m: int, share: float, level: float) -> float:
    """Exactly: over all outcomes of two groups with `n` and `m` rows and the same share, those whose gap is seen."""
    one_A, two_B = np.arange(n + 1) / n, np.arange(m + 1) / m
    low_A, high_A = np.array([corrected_wilson(float(p), n, level=level) for p in one_A]).T
    low_B, high_B = np.array([corrected_wilson(float(p), m, level=level) for p in two_B]).T
    apart_AB = one_A[:, None] - two_B
    above_AB = apart_AB > np.hypot((one_A - low_A)[:, None], high_B - two_B)
    below_AB = -apart_AB > np.hypot((high_A - one_A)[:, None], two_B - low_B)
    chance_AB = binom.pmf(np.arange(n + 1), n, share)[:, None] * binom.pmf(np.arange(m + 1), m, share)
    return float((chance_AB * (above_AB | below_AB)).sum())


def test_wilsons_corrected_limits_are_newcombes() -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 4."""
    cases = {(81, 263): (0.2535, 0.3682), (15, 148): (0.0598, 0.1644), (0, 20): (0, 0.2005), (1, 29): (0.0018, 0.1963)}
    for (k, n), ends in cases.items():
        assert corrected_wilson(k / n, n, level=0.95) == pytest.approx(ends, abs=5e-5)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.5])
def test_small_groups_give_alarms_no_more_often_than_stated(share: float) -> None:
    """All outcomes of two groups counted out: 20 and 25 rows, 25 and 25, at 95 % and at 97.5 %. No simulation."""
    for n, m in ((25, 25), (20, 25)):
        for level in (0.95, 0.975):
            assert chance_of_alarm(n, m, share, level) <= 1 - level


def test_smallest_share_and_ratio_by_hand() -> None:
    """3 of 4 and 1 of 4: the smallest share is 0.25, the ratio 1/3. Where nobody is selected there is no ratio."""
    ids = list("wxyz")
    two = [Cell("s", "a", "r", np.array([1.0, 1, 1, 0]), ids), Cell("s", "b", "r", np.array([1.0, 0, 0, 0]), ids)]
    value, interval = smallest_share(two, level=0.95)
    assert value == 0.25 and interval.low is not None and interval.low < 0.25 < (interval.high or 0)
    assert smallest_ratio(two, level=0.95)[0] == pytest.approx(1 / 3)
    assert smallest_ratio([Cell("s", g, "r", np.zeros(4), ids) for g in "ab"], level=0.95)[0] is None
    assert largest_gap(two[:1], level=0.95).value is None


def test_gaps_of_means_use_the_spread_between_clusters() -> None:
    """Means 0.5 and 0 with values of +-1 about them: error sqrt(1/49) each, half width 1.96 * sqrt(2/49) = 0.396."""
    ids = [str(k) for k in range(50)]
    wave = np.tile([1.0, -1.0], 25)
    found = largest_mean_gap([Cell("s", "a", "c", wave + 0.5, ids), Cell("s", "b", "c", wave, ids)], level=0.95)
    assert found.value == pytest.approx(0.5)
    assert (found.interval.high or 0) - 0.5 == pytest.approx(0.396, abs=1e-3)


def row(number: int, sex: str, expected: str, predicted: str | None, **more: str) -> Row:
    messages = (Message(role="user", content=f"q {number}"), Message(role="assistant", content=expected))
    example = Example(id=f"ex-{number}", messages=messages, attributes={"sex": sex, **more})
    return Row(example, Answer(text=predicted or "?", confidence=0.5), expected=expected, predicted=predicted)


def judged(rows: list[Row], spec: FairnessSpec | None = None) -> dict[str, float | None]:
    found = fairness_measures(rows, profile_of(labels=LABELS), spec or FairnessSpec(), level=0.95)
    return {m.name: m.value for m in found.measures if m.slice == "all"}


def test_measures_by_hand() -> None:
    """Men: 20 good, all told good; 20 bad, 10 told good. Women: 20 good, 15 told good; 20 bad, none.

    Selected 30/40 and 15/40, gap 0.375; odds: 20/20 and 15/20, 10/20 and 0/20, gap 0.5; opportunity of good 0.25, of
    bad 10/20 and 20/20, 0.5; precision of good 20/30 and 15/15, of bad 10/10 and 20/25; accuracy 30/40 and 35/40.
    """
    table = [("m", "good", "good", 20), ("m", "bad", "good", 10), ("m", "bad", "bad", 10)]
    table += [("w", "good", "good", 15), ("w", "good", "bad", 5), ("w", "bad", "bad", 20)]
    rows = [row(n, *line[:3]) for n, line in enumerate([line for line in table for _ in range(line[3])])]
    found = judged(rows, FairnessSpec(fewest=10))
    assert found["demographic_parity_difference"] == pytest.approx(0.375)
    assert found["equalized_odds_difference"] == pytest.approx(0.5)
    assert found["equal_opportunity_difference"] == pytest.approx(0.5)
    assert found["predictive_parity_difference"] == pytest.approx(1 / 3)
    assert found["worst_group_accuracy"] == pytest.approx(0.75)
    assert found["demographic_parity_ratio"] == pytest.approx(min(15 / 30, 10 / 25))
    assert found["calibration_difference"] == pytest.approx(35 / 40 - 30 / 40)
    whole = fairness_measures(rows, profile_of(labels=LABELS), FairnessSpec(fewest=10), level=0.95)
    told = find(whole.measures, "equalized_odds_difference")
    assert told is not None and "2 pairs of groups" in told.method  # false alarms for good are misses of bad
    only_good = judged(rows, FairnessSpec(fewest=10, favourable=["good"]))
    assert only_good["equal_opportunity_difference"] == pytest.approx(0.25)


def test_a_gap_that_only_false_alarms_show_counts_their_rows() -> None:
    """Nobody is truly good: 10 of 20 bad men and none of 20 bad women are told good; the 40 are what it rests on."""
    table = [("m", "bad", "good", 10), ("m", "bad", "bad", 10), ("w", "bad", "bad", 20)]
    rows = [row(n, *line[:3]) for n, line in enumerate([line for line in table for _ in range(line[3])])]
    spec = FairnessSpec(fewest=10, favourable=["good"])
    found = fairness_measures(rows, profile_of(labels=LABELS), spec, level=0.95)
    odds = find(found.measures, "equalized_odds_difference")
    assert odds is not None and odds.value == pytest.approx(0.5) and odds.n == 40


def test_small_groups_are_named_and_not_compared_and_intersections_are() -> None:
    """30 men and 30 women all told good; 3 others told bad, too few. Young women get worse than old: only the joint
    groups show it."""
    rows = [row(n, "m" if n % 2 else "w", "good", "good", age="old" if n % 4 < 2 else "young") for n in range(120)]
    rows += [row(200 + n, "x", "good", "bad", age="old") for n in range(3)]
    spec = FairnessSpec()
    profile = profile_of(labels=LABELS, protect=("sex", "age"))
    found = fairness_measures(rows, profile, spec, level=0.95)
    measure = find(found.measures, "demographic_parity_difference")
    assert measure is not None and measure.value is not None and measure.value < 0.06
    assert any("under 20" in note and "sex x" in note for note in found.notes)
    young = {"sex": "w", "age": "young"}
    worse = [
        row(n, "w", "good", "bad", age="young") if r.example.attributes == young else r for n, r in enumerate(rows)
    ]
    joint = find(
        fairness_measures(worse, profile, spec, level=0.95).measures, "worst_group_accuracy", slice="protect=sex × age"
    )
    assert joint is not None and joint.value == 0.0


def test_without_protected_attributes_nothing_is_measured() -> None:
    found = fairness_measures([row(1, "m", "good", "good")], profile_of(protect=()), FairnessSpec(), level=0.9)
    assert found.measures == ()


def test_a_remedy_tells_no_gap_of_groups_that_the_gate_does_not_compare() -> None:
    """Nine rows of one right answer in a group, twenty are asked for; the accuracy is over all rows and stays."""
    side = {"gap": 0.698, "low": 0.253, "high": 0.854, "accuracy": 0.677}
    told = {"fewest": 9, "before": side, "after": side}
    few, enough = comparable(told, 20), comparable(told, 9)
    assert few["before"] == few["after"] == {"gap": None, "low": None, "high": None, "accuracy": 0.677}
    assert enough["before"] == side and (few["needed"], enough["needed"]) == (20, 9)
