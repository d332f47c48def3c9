"""The page: nothing from data becomes markup, nothing is fetched, both languages are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from evaluate_fakes import FakeModel, colours, profile_of, right_answers, untrained
from test_evaluate_stage import evaluated

from tunesmith.core.types import Target
from tunesmith.evaluate.memory.canaries import power_words
from tunesmith.evaluate.report.chinese import method_text, note_text, reason_text
from tunesmith.evaluate.report.content import chosen, leaks
from tunesmith.evaluate.report.page import all_texts, bare, number, plain, render, script_json, successes
from tunesmith.evaluate.report.plots import figures
from tunesmith.evaluate.spec import MEASURES, EvaluateSpec
from tunesmith.evaluate.wording import bare_name

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">&'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The content of a report whose answers, labels and goal try to be markup."""
    folder = tmp_path_factory.mktemp("report")
    rows = colours(60)
    evil = FakeModel("expert", right_answers(rows, wrong=20, says=EVIL))
    profile = profile_of(Target(measure="accuracy", at_least=0.9), labels=("red", "green", "blue", EVIL))
    profile = profile.model_copy(update={"problem": EVIL})
    evaluated(
        folder, expert=evil, base=FakeModel("base", {}), rows=rows, profile=profile, spec=EvaluateSpec(resamples=100)
    )
    content: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return content


def without_plotly(page: str) -> str:
    """The page without the plotting library's own source."""
    from plotly.offline import get_plotlyjs

    return page.replace(get_plotlyjs(), "")


def test_answers_never_become_markup(found: dict[str, Any]) -> None:
    page = without_plotly(render(found))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_data_block_cannot_be_closed_by_data() -> None:
    text = script_json({"a": "</script><!--"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--"}


def test_the_page_fetches_nothing(found: dict[str, Any]) -> None:
    """No address in any src or href, no import, and a policy that forbids requests; plotly stands in it once."""
    page = without_plotly(render(found))
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", page.replace("src=x", ""))
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert render(found).count("plotly.js v") == 1


def test_the_verdict_comes_first(found: dict[str, Any]) -> None:
    page = without_plotly(render(found))
    assert page.index("The expert is refused") < page.index("Targets</span>") < page.index("Provenance</span>")


def test_a_chinese_profile_gets_a_chinese_page(found: dict[str, Any]) -> None:
    page = without_plotly(render({**found, "language": "zh-CN"}))
    assert '<html lang="zh"' in page
    assert "专家模型被否决</div>" in re.sub(r"<span[^>]*>|</span>", "", page)


def test_both_languages_have_the_same_texts() -> None:
    """Only Chinese has sentences for reasons (`say.`) and measures (`about.`): the English ones stand in the code."""
    texts = all_texts()
    page = {key for key in texts["zh"] if not key.startswith(("say.", "about."))}
    assert texts["en"].keys() == page
    assert {key.removeprefix("about.") for key in texts["zh"] if key.startswith("about.")} == set(MEASURES)
    assert all(texts["en"].values()) and all(texts["zh"].values())


def test_every_reason_has_a_chinese_sentence_with_the_same_figures(found: dict[str, Any]) -> None:
    words = all_texts()["zh"]
    for reason in [reason for gate in found["gates"] for reason in gate["reasons"]]:
        said = reason_text(reason, words)
        assert re.search(r"[\u4e00-\u9fff]", said), reason["code"]
        assert set(re.findall(r"\d\.\d{3}", reason["message"])) <= set(re.findall(r"\d\.\d{3}", said))


def test_reasons_of_a_refused_expert_are_chinese_too(tmp_path: Path) -> None:
    """Not trained, no rows, a target that nothing measures: each has its sentence."""
    profile = profile_of(Target(measure="equalized_odds_difference", at_most=0.1))
    report = evaluated(tmp_path, rows=[], profile=profile, artifact=untrained())
    said = [reason_text(r.model_dump(mode="json"), all_texts()["zh"]) for g in report.gates for r in g.reasons]
    assert all(re.search(r"[\u4e00-\u9fff]", text) for text in said)
    assert "专家模型未经训练：它就是基座模型" in said


def test_reasons_of_the_gates_before_training_are_chinese_with_the_same_figures() -> None:
    """Two rows of 40 are cut (5 %), three were dropped; evidence of another form leaves the sentence as it is."""
    words = all_texts()["zh"]
    cut = {"rows": 2, "of": 40, "share": 0.05, "limit": 0.1, "parts": {}}
    dropped = {"dropped": {"broken": 3}, "limit": 0.05}
    planted = {"secrets": 5, "rows": 1020}
    said = [
        reason_text({"code": code, "message": "?", "verdict": "passed", "evidence": evidence}, words)
        for code, evidence in (("rows-cut", cut), ("dropped-rows", dropped), ("planted-rows", planted), ("memory", {}))
    ]
    assert said[0].startswith("40 条训练样本中有 2 条（5.0%，上限 10.0%）因超出")
    assert said[1:] == [
        "丢弃 3 行，上限为 5.0%（broken 3）",
        "1,020 条训练样本中植入了 5 个秘密，重复的副本予以保留",
        "?",
    ]


def test_notes_are_chinese_with_the_same_figures() -> None:
    """Numbers may change places; a note that nobody has translated stays as it is."""
    assert note_text("trained with one seed (3): the spread between seeds was not measured").startswith(
        "只用一个随机种子（3）"
    )
    assert note_text("400 of 600 held-out rows were not asked (evaluate.at_most_rows)").startswith(
        "600 条留出样本中有 400 条"
    )
    assert note_text(power_words([])).startswith("没有植入金丝雀样本")
    assert note_text("something else") == "something else"


def test_how_an_interval_was_made_is_chinese_clause_by_clause() -> None:
    """Figures change places; names of groups, and clauses that nobody has translated, stay as they are."""
    assert method_text("BCa bootstrap, 2000 resamples of 204 clusters; bootstrap test") == (
        "BCa 自助法，204 个簇，重抽样 2000 次；自助法检验"
    )
    assert method_text("Newcombe, 3 pairs of groups together; sex: male 0.868, female 0.743") == (
        "Newcombe，3 对群体联合；sex: male 0.868, female 0.743"
    )
    assert method_text("Wilson") == "Wilson"


def test_every_method_that_has_words_is_known_in_chinese(tmp_path: Path) -> None:
    """Of a whole report: a name alone (Wilson) is the same in both languages, a sentence is not."""
    rows = colours(30)
    report = evaluated(tmp_path, rows=rows, expert=FakeModel("expert", right_answers(rows, wrong=6)))
    methods = {measure.method for measure in report.measures if " " in measure.method}
    assert methods and all(re.search(r"[\u4e00-\u9fff]", method_text(method)) for method in methods)


def test_a_base_in_a_folder_is_named_by_its_last_part() -> None:
    """A report travels; where somebody keeps his models is nobody's business."""
    assert bare_name("/srv/models/smollm2/") == bare_name("models/mine/smollm2") == bare_name("./smollm2") == "smollm2"
    assert bare_name("HuggingFaceTB/SmolLM2-135M-Instruct") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (
        bare_name(r"C:\models\smollm2") == "smollm2" and bare_name("smollm2-135m-instruct") == "smollm2-135m-instruct"
    )


def test_passed_reasons_are_folded_and_the_others_are_not(found: dict[str, Any]) -> None:
    """Each gate says how many passed; a refusal stands open, once in the verdict and once among the gates."""
    page = without_plotly(render(found)).partition("<script")[0]
    gates = page[page.index("Gates and their reasons</span>") : page.index("Before and after</span>")]
    for g, gate in enumerate(found["gates"]):
        passed = [n for n, reason in enumerate(gate["reasons"]) if reason["verdict"] == "passed"]
        folded = gates.partition(f'data-t="reason.{g}.{passed[0]}"')[0] if passed else ""
        assert not passed or f"reasons that passed</span>: {len(passed)}</summary>" in folded
        for n in set(range(len(gate["reasons"]))) - set(passed):
            assert page.count(f'data-t="reason.{g}.{n}"') == 2


def test_provenance_names_no_path_first_and_speaks_both_languages(found: dict[str, Any]) -> None:
    """The folder of the machine comes last; the counts of leaks are read as words."""
    model = found["provenance"]["model"]
    assert list(model)[:3] == ["base", "base revision", "base digest"] and "/" not in model["base"]
    assert list(model)[-1] == "folder on the machine that made this"
    page = without_plotly(render({**found, "language": "zh"}))
    assert "训练的权重数</span></dt>" in page


def test_a_remedy_of_a_group_that_is_too_small_shows_no_gap(found: dict[str, Any]) -> None:
    """Nine rows where twenty are needed: the accuracy stands there, and instead of the gap why there is none."""
    side = {"gap": None, "low": None, "high": None, "accuracy": 0.625}
    remedy = {"attribute": "age", "measure": "equalized_odds_difference", "rows": 96, "fewest": 9, "needed": 20}
    remedies = [{**remedy, "before": side, "after": side}]
    page = without_plotly(render({**found, "fairness": {"groups": [], "flips": [], "remedies": remedies}}))
    assert page.count("too few rows</span>: 9 / 20</td>") == 2 and "0.625" in page


def test_leaks_are_counted_by_split_and_way() -> None:
    """Two of 50 test rows stand in training; a split without rows and a way that was not looked for are left out."""
    test = {"rows": 50, "kinds": {"verbatim": 2, "near": 0, "meaning": None}, "pairs": [["a", "b"]], "exact": 2}
    found = {"test": test, "valid": {"rows": 0, "kinds": {"verbatim": 0}}, "public": {"mmlu": test}, "threshold": 0.85}
    line = {"rows": 50, "verbatim": 2, "near": 0}
    assert leaks(found) == {"leaks, test": line, "leaks, mmlu": line}
    assert leaks({}) == {}


def test_gates_stand_in_their_order_and_units_only_once(found: dict[str, Any]) -> None:
    names = [gate["gate"] for gate in found["gates"]]
    assert names == sorted(names)
    assert (number(812.4, "ms"), bare(812.4, "ms"), bare(-0.25, sign=True)) == ("812 ms", "812", "-0.250")


def test_the_page_shows_a_few_questions_of_each_attack_that_worked() -> None:
    """Of four successes of one attack three are shown, with what was said before and after."""
    line = {"attack": "typos", "before": "q", "after": "Q", "right": "a", "said_before": "a", "said": "b", "more": 1}
    shown = successes([line] * 4 + [{**line, "attack": "other"}])
    assert [one["attack"] for one in shown] == ["typos"] * 3 + ["other"] and "more" not in shown[0]


def test_a_reason_of_another_room_stays_as_it_is() -> None:
    reason = {"code": "parity", "message": "they differ", "verdict": "failed", "evidence": {}}
    assert reason_text(reason, all_texts()["zh"]) == "they differ"


def test_every_plot_is_drawn_and_data_labels_are_escaped(found: dict[str, Any]) -> None:
    drawn = figures(found, all_texts()["en"])
    assert set(drawn) == {
        "measures",
        "classes",
        "skills",
        "curves",
        "calibration",
        "risk_coverage",
        "fairness",
        "latency",
    }
    assert "<script" not in json.dumps(drawn)


def test_the_curve_goes_on_over_phases_and_shows_every_term_the_rate_and_a_single_validation_point(
    found: dict[str, Any],
) -> None:
    """Two phases of two steps; step 2 of the second was set aside; validation was taken once."""
    curve = [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "tokens": 9, "phase": "1 of 2, text"},
        {"step": 2, "loss": 1.5, "learning_rate": 0.2, "tokens": 9, "phase": "1 of 2, text"},
        {"step": 1, "loss": 1.0, "cross_entropy": 0.9, "ewc": 0.1, "ewc.gap": 3, "valid_loss": 1.1, "phase": "2 of 2"},
        {"step": 2, "set_aside": "the loss of step 2 is nan", "phase": "2 of 2"},
    ]
    drawn = figures({**found, "curves": curve}, all_texts()["en"])["curves"]
    lines = {trace["name"]: trace for trace in drawn["data"]}
    assert list(lines["training loss"]["x"]) == [1, 2, 3] and list(lines["learning rate"]["y"]) == [0.1, 0.2]
    assert {"cross_entropy", "ewc"} <= set(lines) and not {"tokens", "ewc.gap"} & set(lines)
    assert any("markers" in trace["mode"] and list(trace["y"]) == [1.1] for trace in drawn["data"])
    assert [shape["x0"] for shape in drawn["layout"]["shapes"]] == [2.5]


def test_each_class_has_its_own_line(found: dict[str, Any]) -> None:
    """22 classes fit: one line of 26 pixels each, long names shortened."""
    long = [f"{n} a rather long name of a chapter of a classification" for n in range(22)]
    f1 = next(m for m in found["measures"] if m["slice"].startswith("label=") and m["name"] == "f1")
    many = {**found, "measures": [{**f1, "slice": f"label={name}", "model": "expert"} for name in long]}
    layout = figures(many, all_texts()["en"])["classes"]["layout"]
    assert len(layout["yaxis"]["ticktext"]) == 22
    assert layout["height"] >= 22 * 26
    assert max(len(text) for text in layout["yaxis"]["ticktext"]) <= 44


def test_shown_examples_are_a_fair_part_of_each_kind() -> None:
    kinds = ["better"] * 50 + ["worse"] * 2 + ["wrong"] * 10
    told = [{"change": k, "gain": 1.0, "prompt": "p", "reference": "r", "base": None, "expert": None} for k in kinds]
    shown = [example["change"] for example in chosen(told, 9)]
    assert {kind: shown.count(kind) for kind in ("worse", "wrong", "better")} == {"worse": 2, "wrong": 4, "better": 3}


def test_what_could_not_be_scored_is_listed(tmp_path: Path) -> None:
    """Two references outside the set: counted for either model, and said by the quality gate."""
    rows = colours(30)
    rows[:2] = [row.model_copy(update={"target": "mauve"}) for row in rows[:2]]
    report = evaluated(tmp_path, rows=rows, expert=FakeModel("expert", right_answers(rows)))
    content = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    line = {"model": "expert", "scorer": "label", "reason": "reference-outside-labels", "rows": 2}
    assert line in content["unscored"]
    reason = next(r for g in report.gates for r in g.reasons if r.code == "unscored")
    assert reason.verdict == "unknown"
    assert "2 of 30 answers could not be scored" in reason.message


def test_provenance_values_are_one_line() -> None:
    assert plain({"a": 1200, "b": [1, 2], "c": ""}) == "a: 1,200, b: 1, 2, c: –"
