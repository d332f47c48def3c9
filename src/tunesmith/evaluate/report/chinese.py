"""The reasons of all gates in Chinese, said anew from their evidence; what is not known stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tunesmith.core.figures import figure
from tunesmith.core.types import Measure, Target
from tunesmith.evaluate.report.chinese_gates import early_reason
from tunesmith.evaluate.wording import percent, points

Texts = Mapping[str, str]


def reason_text(reason: Mapping[str, Any], texts: Texts) -> str:
    """One reason of the report as a Chinese sentence with the same figures; the English one where it is not known."""
    evidence = reason["evidence"]
    if reason["code"] == "significance" and "tests" in evidence:
        return _significance(reason, texts)
    if reason["code"] == "unscored" and "scored" in evidence:
        return _unscored(evidence, texts)
    if reason["code"] == "adapter-in-force":
        return _in_force(reason, texts)
    if reason["code"] == "slices" and "tried" in evidence:
        return _slices(reason, texts)
    if reason["code"] == "seeds" and "gains" in evidence:
        return _seeds(reason, texts)
    if reason["code"] == "fairness" and "limit" in evidence:
        return _fairness(reason, texts)
    if reason["code"] == "fairness-groups":
        return texts["say.no_groups_of"].format(attribute=evidence["attribute"])
    if reason["code"].startswith("target-") and "target" in evidence:
        return _target(evidence, texts) + _general(evidence, texts)
    return early_reason(reason["code"], evidence, texts) or str(reason["message"])


def note_text(note: str) -> str:
    """A note of the report in Chinese with the same figures; the English one where it is not known."""
    return _translated(note, "notes_zh.json")


def method_text(method: str) -> str:
    """How an interval was made, clause by clause; a clause that is not known (names, figures) stays as it is."""
    return "；".join(_translated(clause, "methods_zh.json") for clause in method.split("; "))


def _translated(text: str, table: str) -> str:
    for pattern, chinese in _patterns(table):
        if found := pattern.fullmatch(text):
            return chinese.format(*found.groups())
    return text


@cache
def _patterns(table: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """What stands in a file of this folder: English sentence with `{}` for its figures -> the Chinese one."""
    text = (files("tunesmith.evaluate.report") / table).read_text(encoding="utf-8")
    pairs: dict[str, str] = json.loads(text)
    return tuple((re.compile("(.+?)".join(map(re.escape, said.split("{}")))), other) for said, other in pairs.items())


def _target(evidence: Mapping[str, Any], texts: Texts) -> str:
    target = Target.model_validate(evidence["target"])
    name = target.measure + (texts["say.for"].format(slice=target.slice) if target.slice else "")
    side = texts["at_least"] if target.at_least is not None else texts["at_most"]
    limit = f"{target.threshold:g}"
    if "measure" not in evidence:
        return texts["say.unmeasured"].format(name=name, side=side, limit=limit)
    measure = Measure.model_validate(evidence["measure"])
    if measure.value is None:
        unscored = measure.unscored
        return texts["say.unscored_target"].format(name=name, unscored=unscored, side=side, limit=limit)
    text = texts["say.target"].format(name=name, value=_value(measure, texts), side=side, limit=limit)
    if "fewest" in evidence:
        return text + texts["say.few"].format(n=measure.n, least=evidence["fewest"])
    return text + (texts["say.surely"] if target.surely else "")


def _value(measure: Measure, texts: Texts, *, sign: bool = False) -> str:
    value = figure(measure.value or 0.0, measure.unit, sign=sign)
    if measure.low is None or measure.high is None:
        return texts["say.no_interval"].format(value=value, n=measure.n)
    low, high = (figure(end, measure.unit, sign=sign) for end in (measure.low, measure.high))
    level = f"{100 * measure.level:g}"
    return texts["say.interval"].format(value=value, level=level, low=low, high=high, n=measure.n)


def _general(evidence: Mapping[str, Any], texts: Texts) -> str:
    text = ""
    if "general_accuracy" in evidence:
        sides = {side: percent(value) for side, value in evidence["general_accuracy"].items()}
        text += texts["say.general"].format(**sides)
    if "general_perplexity_ratio" in evidence:
        text += texts["say.perplexity"].format(ratio=f"{evidence['general_perplexity_ratio']:.2f}")
    if evidence.get("skills_that_fell"):
        worst = [f"{fall['skill']} {points(fall['change'])}" for fall in evidence["skills_that_fell"][:3]]
        text += texts["say.fell"].format(skills="、".join(worst).replace("points", "个百分点"))
    return text


def _significance(reason: Mapping[str, Any], texts: Texts) -> str:
    tests = {name: Measure.model_validate(m) for name, m in reason["evidence"]["tests"].items()}
    name = next((m.name for m in tests.values()), "")
    if reason["verdict"] == "unknown" and "rows_needed" not in reason["evidence"]:
        return texts["say.untold"].format(name=name)
    head = texts["say.better" if reason["verdict"] == "passed" else "say.not_better"].format(name=name)
    parts = []
    for measure in tests.values():
        opponent = texts["say.own_words" if measure.model == "difference" else "say.by_likelihood"]
        p = "< 0.0001" if (measure.p or 0.0) < 1e-4 else f"{measure.p:.4f}"
        parts.append(texts["say.difference"].format(opponent=opponent, value=_value(measure, texts, sign=True), p=p))
    return head + "；".join(parts) + _power(reason["evidence"], texts)


def _power(evidence: Mapping[str, Any], texts: Texts) -> str:
    if "rows_needed" not in evidence:
        return ""
    difference, power = f"{evidence['difference']:g}", percent(evidence["power"])
    return texts["say.power"].format(difference=difference, power=power, rows=evidence["rows_needed"])


def _slices(reason: Mapping[str, Any], texts: Texts) -> str:
    evidence = reason["evidence"]
    text = texts["say.slices"].format(worse=evidence["count"], tried=evidence["tried"])
    shown = [Measure.model_validate(m) for m in evidence["shown"]]
    return text + "".join(f"；{m.slice} {_value(m, texts, sign=True)}" for m in shown)


def _seeds(reason: Mapping[str, Any], texts: Texts) -> str:
    evidence = reason["evidence"]
    if reason["verdict"] == "unknown":
        return texts["say.seeds_untold"]
    low, high, mean = (figure(evidence[key], evidence["unit"], sign=True) for key in ("low", "high", "mean"))
    key = "say.seeds_agree" if reason["verdict"] == "passed" else "say.seeds_differ"
    return texts[key].format(seeds=len(evidence["gains"]), name=evidence["measure"], mean=mean, low=low, high=high)


def _fairness(reason: Mapping[str, Any], texts: Texts) -> str:
    if reason["verdict"] == "unknown":
        return texts["say.no_groups"]
    measure, limit = Measure.model_validate(reason["evidence"]["measure"]), reason["evidence"]["limit"]
    key = "say.gap" if reason["verdict"] == "failed" else "say.no_gap"
    return texts[key].format(value=_value(measure, texts), limit=f"{limit:g}")


def _unscored(evidence: Mapping[str, Any], texts: Texts) -> str:
    total = evidence["scored"] + evidence["unscored"]
    if not total:
        return texts["say.no_rows"]
    limit = percent(evidence["at_most"])
    return texts["say.unscored"].format(total=total, unscored=evidence["unscored"], limit=limit)


def _in_force(reason: Mapping[str, Any], texts: Texts) -> str:
    evidence = reason["evidence"]
    if "rows" not in evidence:
        return texts["say.untrained"]
    keys = {"passed": "say.in_force", "failed": "say.not_in_force", "unknown": "say.unknown_force"}
    what = texts["say.adapter" if evidence.get("adapter", True) else "say.weights"]
    rows, changed = evidence["rows"], evidence["texts_that_differ"]
    text = texts[keys[reason["verdict"]]].format(what=what, rows=rows, changed=changed)
    apart = evidence["largest_nats_per_token"]
    return text if apart is None else text + texts["say.apart"].format(nats=figure(apart, "nats"))
