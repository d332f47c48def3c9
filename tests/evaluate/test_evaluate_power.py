"""How many rows are needed, and whether the verdict keeps its word: false alarms, planted differences, seeds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_fakes import FakeModel, colours, right_answers
from test_evaluate_stage import evaluated, reason

from tunesmith.core.errors import UserError
from tunesmith.core.types import Answer, Example, Measure, Message, Score
from tunesmith.evaluate.gates import significance_reason, under_powered
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.metrics.accuracy import Accuracy
from tunesmith.evaluate.multiplicity import adjusted, with_adjusted
from tunesmith.evaluate.power import mcnemar_power, rows_for, rows_needed, smallest_seen
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.seeds import SeedReport, seed_reports, seeds_reason, to_stronger_base
from tunesmith.evaluate.spec import EvaluateSpec, PowerSpec
from tunesmith.evaluate.statistics import Floats, Sampling

SPEC = EvaluateSpec(resamples=100)


def test_power_of_six_rows_by_hand() -> None:
    """They always disagree, the better one is right 9 times in 10, 6 rows: only 6 wins of 6 (p 2/64) tell: 0.9^6."""
    assert mcnemar_power(6, 0.8, disagreement=1.0, alpha=0.05) == pytest.approx(0.9**6)


def test_rows_needed_agree_with_the_published_approximation() -> None:
    """Connor (1987): (1.96 sqrt(0.3) + 0.8416 sqrt(0.3 - 0.05^2))^2 / 0.05^2 = 939; the exact test takes a few
    per cent more."""
    assert 939 <= rows_needed(0.05, disagreement=0.3) <= 1.08 * 939
    assert mcnemar_power(rows_needed(0.05, disagreement=0.3), 0.05, disagreement=0.3, alpha=0.05) >= 0.8


def test_a_difference_larger_than_the_disagreement_is_no_question() -> None:
    with pytest.raises(ValueError, match="disagreement"):
        mcnemar_power(10, 0.2, disagreement=0.1, alpha=0.05)


def difference(value: float, half: float, *, n: int = 100, p: float = 0.5) -> Measure:
    return Measure(name="accuracy", model="difference", value=value, low=value - half, high=value + half, n=n, p=p)


def test_the_smallest_difference_follows_from_the_width_of_the_interval() -> None:
    """Half width 0.098 is an error of 0.05: (1.960 + 0.842) * 0.05 = 0.140; for 0.05 it takes 100 (0.14/0.05)^2."""
    wide = difference(0.02, 0.098)
    assert smallest_seen(wide, power=0.8) == pytest.approx(0.1401, abs=1e-4)
    assert rows_for(wide, 0.05, power=0.8) == 785
    assert smallest_seen(wide.model_copy(update={"low": None})) is None


@pytest.mark.parametrize(
    ("value", "half", "unknown"),
    [(0.02, 0.098, True), (0.0, 0.02, False), (-0.2, 0.098, False), (0.02, 0.035, True), (0.001, 0.04, False)],
)
def test_too_few_rows_are_unknown_and_a_shown_failure_is_not(value: float, half: float, unknown: bool) -> None:
    """Unknown: 5 points could have been missed, and are not excluded. 0.001 + 0.04 excludes them; -0.2 is worse."""
    assert under_powered(difference(value, half), PowerSpec()) == unknown
    said = significance_reason([difference(value, half)], "accuracy", spec=SPEC)
    assert said.verdict == ("unknown" if unknown else "failed")
    assert ("such rows are needed" in said.message) == unknown


# -- many tests at once ---------------------------------------------------------------------------------


def test_adjusted_p_values_by_hand() -> None:
    """Holm of 0.01, 0.02, 0.04: 3 * 0.01, 2 * 0.02, 0.04 -> 0.03, 0.04, 0.04. Benjamini-Hochberg: 0.03, 0.03, 0.04."""
    assert adjusted([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert adjusted([0.04, 0.01, 0.02], "fdr_bh") == pytest.approx([0.04, 0.03, 0.03])
    assert adjusted([]) == []


def test_only_differences_over_all_rows_are_one_family() -> None:
    one, two = difference(0.1, 0.1, p=0.01), difference(0.1, 0.1, p=0.04)
    part = difference(0.1, 0.1, p=0.001).model_copy(update={"slice": "sex=female"})
    plain = one.model_copy(update={"p": None})
    assert [m.p_adjusted for m in with_adjusted([one, part, two, plain])] == [0.02, None, 0.04, None]


# -- the verdict keeps its word -------------------------------------------------------------------------


ANSWER, SCORES = Answer(text="a"), {value: {"label": Score(value=value)} for value in (0.0, 1.0)}


@cache
def question(n: int, size: int) -> Example:
    messages = (Message(role="user", content=f"q {n}"), Message(role="assistant", content="a"))
    return Example(id=f"ex-{n}", messages=messages, group=f"g{n // size}" if size > 1 else None)


def sampled_rows(right: Floats, *, size: int = 1) -> list[Row]:
    return [Row(question(n, size), ANSWER, SCORES[float(value)]) for n, value in enumerate(right)]


def called_better(first: Floats, second: Floats, *, size: int, metric: RowMetric, seed: int) -> bool:
    """The very path of the gate: metric, paired test, reason."""
    found = metric.difference(
        sampled_rows(first, size=size), sampled_rows(second, size=size), sampling=Sampling(resamples=100, seed=seed)
    )
    return significance_reason([found], "accuracy", spec=SPEC).verdict == "passed"


def share_called_better(repeats: int, *, gain: float, rows: int, size: int = 1, seed: int = 0) -> tuple[int, float]:
    """How often an expert that is better by `gain` is called so, with the upper 95 % limit (Clopper-Pearson).

    A pool of questions of unlike difficulty is drawn once; each repeat splits off `rows` of it anew, and both models
    answer by chance, rightly with the probability of the question: with gain 0 they are the same expert, asked twice.
    """
    from scipy.stats import beta

    random = np.random.default_rng(seed)
    pool = np.clip(random.beta(4, 2, size=4 * rows // size), 0.05, 0.95 - gain)
    called = 0
    for repeat in range(repeats):
        chance = random.choice(pool, rows // size, replace=False)
        spread = 0.0 if size == 1 else 0.1
        both = [
            np.clip(chance + more + random.normal(0, spread, len(chance)), 0, 1).repeat(size) for more in (gain, 0.0)
        ]
        first, second = ((random.random(rows) < p).astype(np.float64) for p in both)
        called += called_better(first, second, size=size, metric=Accuracy(), seed=repeat)
    return called, float(beta.ppf(0.975, called + 1, max(repeats - called, 1e-9)))


def test_the_same_expert_is_hardly_ever_called_better_than_itself() -> None:
    """60 resplits of 150 rows: at most 5 % is 3, and chance alone gives 2.5 %; more than 6 has a chance below 0.1 %."""
    called, _ = share_called_better(60, gain=0.0, rows=150, seed=1)
    assert called <= 6


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4])
def test_over_two_thousand_resplits_the_same_expert_is_called_better_in_at_most_five_per_cent(size: int) -> None:
    """Also where four rows share a group, and both models' luck varies by group. The upper limit is below 5 % too."""
    called, high = share_called_better(2000, gain=0.0, rows=200, size=size, seed=2)
    print(f"called better {called} of 2000, 95 % limit {high:.4f}")
    assert high <= 0.05


@pytest.mark.slow
def test_a_planted_difference_of_five_points_is_found_at_the_stated_power() -> None:
    """Questions of unlike difficulty: the models disagree on 0.4 of the rows or so; as many rows as `rows_needed` says
    for what was measured. 400 repeats: 80 % has a standard error of 2 points."""
    random = np.random.default_rng(4)
    pool = np.clip(random.beta(4, 2, size=100_000), 0.05, 0.9)
    disagreement = float((pool * (1 - pool - 0.05) + (pool + 0.05) * (1 - pool)).mean())
    rows = rows_needed(0.05, disagreement=disagreement)
    called, _ = share_called_better(400, gain=0.05, rows=rows, seed=5)
    print(f"{rows} rows at disagreement {disagreement:.3f}: found {called} of 400")
    assert called / 400 >= 0.76


def test_the_report_tells_what_its_rows_could_show(tmp_path: Path) -> None:
    """53 and 54 of 60 right: no difference is shown, five points are not excluded, and the rows needed are told."""
    rows = colours(60)
    nearly = FakeModel("base", right_answers(rows, wrong=7))
    report = evaluated(tmp_path, base=nearly, spec=EvaluateSpec(resamples=100, likelihood_rows=0, latency_rows=0))
    said = reason(report, "significance")
    assert said.verdict == "unknown" and "about" in said.message
    found = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["power"]
    assert found["rows"] == 60 and found["smallest_seen"] > 0.05
    assert found["rows_needed"] == said.evidence["rows_needed"] > 60
    assert found["guess"] == rows_needed(0.05, disagreement=0.3)


# -- other seeds ----------------------------------------------------------------------------------------


def other(seed: int, gain: float) -> SeedReport:
    return SeedReport(seed, "accuracy", (difference(gain, 0.01),), f"run-{seed}")


def test_all_seeds_must_agree() -> None:
    mine = difference(0.06, 0.01)
    good = seeds_reason(mine, 1, [other(2, 0.04)], higher=True)
    assert good.verdict == "passed"
    assert "all 2 seeds are better" in good.message and "+0.050 on average, +0.040 to +0.060" in good.message
    assert seeds_reason(mine, 1, [other(2, -0.01)], higher=True).verdict == "failed"
    assert seeds_reason(mine, 1, [other(1, 0.04)], higher=True).verdict == "unknown"
    assert seeds_reason(None, 1, [other(2, 0.04)], higher=True).verdict == "unknown"


def test_seeds_are_held_against_the_base_that_is_harder_to_beat() -> None:
    """0.5 above a base that never says a bare label, 0.02 below its likeliest label: this seed is not better."""
    own, fair = difference(0.5, 0.01), difference(-0.02, 0.01).model_copy(update={"model": "difference_fair"})
    mine = to_stronger_base([own, fair], "accuracy", higher=True)
    assert mine is fair and to_stronger_base([own], "accuracy", higher=True) is own
    assert to_stronger_base([own, fair], "accuracy", higher=False) is own
    assert to_stronger_base([own, fair], "f1", higher=True) is None
    worse = SeedReport(2, "accuracy", (own, fair), "run-2")
    assert seeds_reason(own, 1, [worse], higher=True).verdict == "failed"


def test_a_report_of_another_seed_is_read_and_counts(tmp_path: Path) -> None:
    """The report of a first training is named in the second one's file: both seeds stand in the report."""
    evaluated(tmp_path / "first")
    content: dict[str, Any] = json.loads((tmp_path / "first/report/report.json").read_text(encoding="utf-8"))
    content["provenance"]["training"]["seeds"] = [18]
    place = tmp_path / "second" / "report" / "earlier"
    place.mkdir(parents=True)
    (place / "report.json").write_text(json.dumps(content), encoding="utf-8")
    spec = EvaluateSpec(resamples=100, latency_rows=2, other_seeds=["earlier"])
    report = evaluated(tmp_path / "second", spec=spec)
    assert report.seeds == (17, 18)
    assert reason(report, "seeds").verdict == "passed"
    assert not any("one seed" in note for note in report.notes)


def test_what_is_no_report_is_told_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError) as told:
        seed_reports(["a", "b", "../c"], tmp_path)
    assert [p.code for p in told.value.problems] == ["missing-file", "no-report", "path-outside"]
    assert all(p.path.startswith("evaluate.other_seeds[") for p in told.value.problems)
