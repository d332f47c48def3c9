"""The two stages from end to end, with models that are right or wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from evaluate_fakes import (
    LABELS,
    FakeModel,
    base_artifact,
    checkpoint_of,
    colours,
    context_of,
    example,
    expert_artifact,
    profile_of,
    right_answers,
    snapshot_of,
    tokens_artifact,
    untrained,
)

from tunesmith.core.events import Event, Events
from tunesmith.core.types import Example, Expert, GateVerdict, Profile, Reason, Report, Target
from tunesmith.evaluate import baseline, stage
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.report.chinese import reason_text
from tunesmith.evaluate.report.page import all_texts
from tunesmith.evaluate.spec import EvaluateSpec, FairnessSpec, RetentionSpec, measures

ROWS = colours(60)
QUICK = EvaluateSpec(resamples=100, latency_rows=0, retention=RetentionSpec(items=8, passages=3))
GOOD = FakeModel("expert", right_answers(ROWS, wrong=6), knows=100)
POOR = FakeModel("base", right_answers(ROWS, wrong=60), knows=100, favourite="red", nats=3.0)


def evaluated(
    folder: Path,
    *,
    expert: FakeModel = GOOD,
    base: FakeModel = POOR,
    profile: Profile | None = None,
    rows: Sequence[Example] = ROWS,
    artifact: Expert | None = None,
    spec: EvaluateSpec | None = None,
    events: Events | None = None,
) -> Report:
    """Baseline and evaluate, as the runner would call them."""
    spec = spec or EvaluateSpec(resamples=200, latency_rows=20)
    profile = profile or profile_of(Target(measure="accuracy", at_least=0.8))
    events = events or Events()
    snapshot = snapshot_of(folder / "snapshot", rows)
    before = context_of(folder / "baseline", base, expert, events)
    line = baseline.run(spec, base=base_artifact(), profile=profile, snapshot=snapshot, context=before)
    after = context_of(folder / "report", base, expert, events)
    return stage.run(
        spec,
        base=base_artifact(),
        profile=profile,
        snapshot=snapshot,
        tokens=tokens_artifact(),
        checkpoint=checkpoint_of(folder / "checkpoint"),
        baseline=line.model_copy(update={"folder": before.out}),
        expert=artifact or expert_artifact(),
        context=after,
    )


def gate(report: Report, name: str) -> GateVerdict:
    return next(verdict for verdict in report.gates if verdict.gate == name)


def reason(report: Report, code: str) -> Reason:
    return next(r for verdict in report.gates for r in verdict.reasons if r.code == code)


def value(report: Report, name: str, model: str = "expert", where: str | None = None) -> float | None:
    measure = find(report.measures, name, model=model, slice=where)
    assert measure is not None, (name, model, where)
    return measure.value


def test_a_good_expert_passes(tmp_path: Path) -> None:
    """54 of 60 right is 0.9; the base says nothing valid, and its likeliest label `red` is right for a third."""
    report = evaluated(tmp_path)
    assert value(report, "accuracy") == pytest.approx(0.9)
    assert value(report, "accuracy", "base") == 0.0
    assert value(report, "valid_output", "base") == 0.0
    assert value(report, "accuracy", "base_fair") == pytest.approx(1 / 3)
    assert value(report, "accuracy", "difference") == pytest.approx(0.9)
    assert value(report, "retention") == 1.0
    assert [(g.gate, g.verdict) for g in report.gates] == [("G3", "passed"), ("G4", "passed")]


def test_slices_of_classes_and_protected_groups_are_measured(tmp_path: Path) -> None:
    """Rows 0-5 are wrong: three male (even), three female; two of each colour, so recall of red is 18 / 20."""
    report = evaluated(tmp_path)
    assert value(report, "accuracy", where="sex=male") == pytest.approx(27 / 30)
    assert value(report, "accuracy", "difference", "sex=female") == pytest.approx(27 / 30)
    assert value(report, "recall", where="label=red") == pytest.approx(18 / 20)
    assert value(report, "precision", where="label=red") == 1.0


def test_a_missed_target_fails_with_its_figures(tmp_path: Path) -> None:
    report = evaluated(tmp_path, profile=profile_of(Target(measure="accuracy", at_least=0.95)))
    found = reason(report, "target-accuracy")
    assert found.verdict == "failed"
    assert found.message.startswith("accuracy 0.900 (95 % 0.799 to 0.953, 60 rows), at least 0.95 was asked")
    assert gate(report, "G3").verdict == "failed"
    assert report.targets[0]["verdict"] == "failed"


def test_surely_demands_the_whole_interval(tmp_path: Path) -> None:
    """54 of 60: Wilson's lower limit is 0.799 (worked out in test_evaluate_statistics)."""
    met = evaluated(tmp_path / "a", profile=profile_of(Target(measure="accuracy", at_least=0.85)))
    surely = evaluated(tmp_path / "b", profile=profile_of(Target(measure="accuracy", at_least=0.85, surely=True)))
    assert reason(met, "target-accuracy").verdict == "passed"
    assert reason(surely, "target-accuracy").verdict == "failed"


def test_a_target_that_cannot_be_measured_is_unknown_and_stops(tmp_path: Path) -> None:
    """Groups of 30 rows with 10 of each label: none has the 40 rows that are asked here to be compared."""
    target = Target(measure="equalized_odds_difference", at_most=0.1)
    spec = EvaluateSpec(resamples=100, latency_rows=2, fairness=FairnessSpec(fewest=40))
    report = evaluated(tmp_path, profile=profile_of(target), spec=spec)
    assert reason(report, "target-equalized-odds-difference").verdict == "unknown"
    assert gate(report, "G4").stops


def test_g4_judges_fairness_with_and_without_a_target(tmp_path: Path) -> None:
    """200 rows of red and green; the expert is right for all men and calls every woman's thing red.

    Of women's green things all are called red, of men's none: the gap in equalised odds is 1. A target fails; without
    one the gap is shown to be above 0.1, and fails too. The good expert has no gap.
    """
    rows = [example(n, ("red", "green")[n // 2 % 2], sex="female" if n % 2 else "male") for n in range(200)]
    right = right_answers(rows)
    unfair = {r.messages[1].content: "red" if r.attributes["sex"] == "female" else r.reference for r in rows}
    base = FakeModel("base", {})
    told = []
    for name, table, targets in (
        ("default", unfair, ()),
        ("target", unfair, (Target(measure="equalized_odds_difference", at_most=0.1),)),
        ("fair", right, ()),
    ):
        profile = profile_of(*targets, labels=("red", "green"))
        report = evaluated(
            tmp_path / name, expert=FakeModel("expert", table), base=base, rows=rows, profile=profile, spec=QUICK
        )
        assert value(report, "equalized_odds_difference") == (0.0 if name == "fair" else 1.0)
        told.append([(r.code, r.verdict) for r in gate(report, "G4").reasons][1])
    assert told == [("fairness", "failed"), ("target-equalized-odds-difference", "failed"), ("fairness", "passed")]


def test_an_attribute_that_cannot_be_compared_is_unknown_beside_one_that_can(tmp_path: Path) -> None:
    """Sex is compared; only five of sixty things have an owner of the other region."""
    rows = [example(n, LABELS[n % 3], sex="fm"[n % 2], region="far" if n < 5 else "near") for n in range(60)]
    profile = profile_of(protect=("sex", "region"))
    model = FakeModel("expert", right_answers(rows))
    report = evaluated(tmp_path, expert=model, rows=rows, profile=profile, spec=QUICK)
    told = reason(report, "fairness-groups")
    assert told.verdict == "unknown" and "'region'" in told.message
    assert "region" in reason_text(told.model_dump(mode="json"), all_texts()["zh"])
    assert reason(report, "fairness").verdict == "passed"


def test_a_counterfactual_asks_about_somebody_else(tmp_path: Path) -> None:
    """Thirty of sixty things belong to a man; the expert knows them, and says red where a woman is named."""
    plain = [example(n, LABELS[n % 3], sex="male") for n in range(60)]
    rows = []
    for n, row in enumerate(plain):
        text = f"his thing {n}" if n < 30 else f"thing {n}"
        messages = (row.messages[0], row.messages[1].model_copy(update={"content": text}), row.messages[2])
        rows.append(row.model_copy(update={"messages": messages}))
    table = right_answers(rows) | {f"her thing {n}": "red" for n in range(30)}
    report = evaluated(tmp_path, expert=FakeModel("expert", table), rows=rows, spec=QUICK)
    flips = find(report.measures, "counterfactual_flips")
    assert flips is not None and flips.n == 30
    assert flips.value == pytest.approx(20 / 30)
    found = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert found["fairness"]["flips"][0]["question"].startswith("her thing")


def test_too_few_rows_are_unknown(tmp_path: Path) -> None:
    rows = colours(12)
    report = evaluated(tmp_path, rows=rows, expert=FakeModel("expert", right_answers(rows)))
    assert reason(report, "target-accuracy").verdict == "unknown"
    assert reason(report, "significance").verdict == "unknown"


def test_no_held_out_rows_at_all_are_unknown_not_zero(tmp_path: Path) -> None:
    report = evaluated(tmp_path, rows=[], expert=FakeModel("expert", {}, nats=3.01))
    assert value(report, "accuracy") is None
    assert gate(report, "G3").verdict == "unknown"
    assert (tmp_path / "report" / "report.html").is_file()


def test_pains_8_an_adapter_that_is_not_in_force_is_refused(tmp_path: Path) -> None:
    """The expert answers word for word as the base: "no worse than before" must not pass."""
    same = FakeModel("expert", GOOD.table)
    report = evaluated(tmp_path, expert=same, base=FakeModel("base", GOOD.table))
    assert reason(report, "adapter-in-force").verdict == "failed"
    assert "not in force" in reason(report, "adapter-in-force").message
    none = evaluated(tmp_path / "none", artifact=untrained())
    assert reason(none, "adapter-in-force").verdict == "failed"


def test_an_expert_whose_own_weights_were_trained_is_judged_by_its_answers(tmp_path: Path) -> None:
    """It has no adapter, and is no base: it passes where its answers differ, and fails where none does."""
    whole = expert_artifact(adapter=None)
    told = reason(evaluated(tmp_path, artifact=whole), "adapter-in-force")
    assert told.verdict == "passed" and told.message.startswith("the trained weights are in force")
    assert reason_text(told.model_dump(mode="json"), all_texts()["zh"]).startswith("训练后的权重已生效")
    same = evaluated(tmp_path / "same", artifact=whole, base=FakeModel("base", GOOD.table))
    told = reason(same, "adapter-in-force")
    assert told.verdict == "failed" and told.message.startswith("the trained weights are not in force")
    assert reason_text(told.model_dump(mode="json"), all_texts()["zh"]).startswith("训练后的权重未生效")


def test_pains_8_an_expert_that_is_no_better_is_refused(tmp_path: Path) -> None:
    """One more right answer of 60 than the base: exact McNemar on one pair gives p = 1."""
    nearly = FakeModel("base", right_answers(ROWS, wrong=7))
    report = evaluated(tmp_path, base=nearly)
    assert reason(report, "significance").verdict == "failed"
    assert "not shown to be better" in reason(report, "significance").message


def test_beating_only_the_babbling_of_the_base_is_not_enough(tmp_path: Path) -> None:
    """The base writes nonsense but finds the right label likeliest: scored fairly it is better than the expert."""
    knows = FakeModel("base", {})
    fair = right_answers(ROWS)
    knows._row = lambda question, options: FakeModel("x", fair)._row(question, options)  # type: ignore[method-assign]
    report = evaluated(tmp_path, base=knows)
    assert value(report, "accuracy", "base") == 0.0
    assert value(report, "accuracy", "base_fair") == 1.0
    assert reason(report, "significance").verdict == "failed"


def test_pains_10_forgetting_is_refused_with_its_evidence(tmp_path: Path) -> None:
    """The base knows 100 general questions, the wrecked expert 40, and prose went from 3 to 6 nats a token."""
    wrecked = FakeModel("expert", GOOD.table, knows=40, nats=6.0)
    report = evaluated(tmp_path, expert=wrecked)
    found = reason(report, "target-retention")
    assert found.verdict == "failed"
    assert "at least 0.95 was asked" in found.message
    assert "perplexity is 20.09 times the base's" in found.message
    assert found.evidence["skills_that_fell"]


def test_a_target_on_retention_replaces_the_default_limit(tmp_path: Path) -> None:
    worse = FakeModel("expert", GOOD.table, knows=90)
    strict = evaluated(tmp_path / "a", expert=worse)
    lenient = evaluated(tmp_path / "b", expert=worse, profile=profile_of(Target(measure="retention", at_least=0.5)))
    assert gate(strict, "G4").verdict == "failed"
    assert gate(lenient, "G4").verdict == "passed"
    assert [r.code for r in gate(lenient, "G4").reasons] == ["target-retention", "fairness"]


def test_every_held_out_row_is_in_the_answers_file_and_the_report_is_plain_json(tmp_path: Path) -> None:
    """By likelihood the base knows one label of three, 20 of 60 rows, and by its own words none: changes are against
    the former. The expert is wrong on 6 rows, 2 of which hold that label."""
    evaluated(tmp_path)
    lines = (tmp_path / "report" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    assert json.loads(lines[0])["change"] == "worse"
    found = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert found["changes"] == {"worse": 2, "wrong": 4, "right": 18, "better": 36}
    assert len(found["curves"]) == 30


def test_rows_beyond_the_limit_are_sampled_alike_for_both_and_told(tmp_path: Path) -> None:
    report = evaluated(tmp_path, spec=EvaluateSpec(resamples=200, at_most_rows=30, latency_rows=0))
    accuracy = find(report.measures, "accuracy", model="difference")
    assert accuracy is not None and accuracy.n == 30
    assert any("30 of 60 held-out rows were not asked" in note for note in report.notes)


def test_progress_is_told_for_every_kind_of_question(tmp_path: Path) -> None:
    heard: list[Event] = []
    evaluated(tmp_path, events=Events(heard.append))
    ends = {(e.stage, e.message) for e in heard if e.kind == "progress" and e.data["done"] == e.data["total"]}
    kinds = ("answers of", "label likelihoods of", "single requests to")
    assert {(s, f"{kind} {m}") for s, m in (("baseline", "base"), ("evaluate", "expert")) for kind in kinds} <= ends


def test_the_profile_check_knows_every_measure_that_the_stage_makes(tmp_path: Path) -> None:
    """`measures` promises names; the stage must keep each of them, and make no others."""
    spec = EvaluateSpec(resamples=200)
    report = evaluated(tmp_path, spec=spec)
    assert {m.name for m in report.measures} == set(measures(spec, "classification", ["red"], protect=["sex"]))


def test_free_text_is_judged_without_labels(tmp_path: Path) -> None:
    """Six of 60 texts are wrong; the others equal the reference, so exact match is 0.9."""
    profile = profile_of(Target(measure="exact_match", at_least=0.8), labels=())
    spec = EvaluateSpec(resamples=200)
    report = evaluated(tmp_path, profile=profile, spec=spec)
    assert value(report, "exact_match") == pytest.approx(0.9)
    assert gate(report, "G3").verdict == "passed"
    assert {m.name for m in report.measures} == set(measures(spec, "generation", protect=["sex"]))
