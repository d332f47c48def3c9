"""Writing the report: JSON for programs, one HTML file for people that opens without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tunesmith.core.figures import figure
from tunesmith.core.files import read_json, write_json, write_text
from tunesmith.evaluate.measuring import Sides
from tunesmith.evaluate.report.chinese import method_text, note_text, reason_text
from tunesmith.evaluate.report.content import joined
from tunesmith.evaluate.report.plots import figures
from tunesmith.evaluate.rows import read_lines, write_lines
from tunesmith.evaluate.safety_spec import SAFETY
from tunesmith.evaluate.spec import FAIRNESS
from tunesmith.evaluate.wording import bare_name

LANGUAGES = ("en", "zh")
ATTACKS, SUCCESSES = "attacks.json", "attacks.jsonl"
"""What the attacks came to, where there were any: name -> settings, rows by outcome, questions asked; what worked."""

SHOWN_OF_AN_ATTACK = 3
STATES = ("held", "lost", "wrong-before", "nothing-to-change", "unscored-before", "unanswered")
"""What can become of an attacked row, see `attacking.Trial`."""

_ATTACKED = ("attack_success", "robust_accuracy")


def write_report(folder: Path, found: dict[str, Any], sides: Sides) -> None:
    """Write `report.json`, `report.html` and `answers.jsonl` (every held-out row) into `folder`."""
    if (folder / ATTACKS).is_file():
        found = {**found, "attacks": attack_lines(read_json(folder / ATTACKS), found["measures"])}
        found |= {"attacked": successes(read_lines(folder / SUCCESSES))}
    write_json(folder / "report.json", found)
    write_lines(folder / "answers.jsonl", joined(sides, found["scorer"]))
    write_text(folder / "report.html", render(found))


def attack_lines(attacks: dict[str, Any], measures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per attack: its measured success with interval, what became of the rows, and what it cost."""
    success = {m["slice"]: m for m in measures if m["name"] == "attack_success" and m["model"] == "expert"}
    return [
        {"name": name, "success": success.get(f"attack={name}"), **{k: told.get(k, 0) for k in _ATTACK_FIELDS}}
        for name, told in attacks.items()
    ]


def successes(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first successes of each attack, for the page; all of them stand in `attacks.jsonl`."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        few = shown.setdefault(line["attack"], [])
        if len(few) < SHOWN_OF_AN_ATTACK:
            few.append({key: line[key] for key in ("attack", "before", "after", "right", "said_before", "said")})
    return [line for few in shown.values() for line in few]


_ATTACK_FIELDS = ("rows", "queries", "unscored", "edits_refused", "settings")


def render(found: dict[str, Any]) -> str:
    """The page: scripts and styles inside, everything from data escaped, and a policy that forbids any request."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("tunesmith.evaluate.report", "page"), autoescape=True, undefined=StrictUndefined
    )
    filters: dict[str, Callable[..., str]] = {"number": number, "bare": bare, "plain": plain, "bare_name": bare_name}
    environment.filters |= filters
    texts = {language: {**words, **_said_of(found, language)} for language, words in all_texts().items()}
    language = "zh" if found["language"].lower().startswith("zh") else "en"
    return environment.get_template("report.html").render(
        r=found,
        texts=texts[language],
        language=language,
        payload=script_json({"texts": texts, "figures": {lang: figures(found, texts[lang]) for lang in LANGUAGES}}),
        plotly=get_plotlyjs(),
        style=_part("report.css"),
        script=_part("report.js"),
        main_measures=[m for m in found["measures"] if m["slice"] == "all" and m["name"] not in FAIRNESS],
        fairness=[m for m in found["measures"] if m["name"] in FAIRNESS],
        guarded=[m for m in found["measures"] if m["name"] in SAFETY and m["name"] not in _ATTACKED],
        attack_states=[s for s in STATES if any(a["rows"].get(s) for a in found["attacks"])],
        slices=sorted((m for m in found["measures"] if _is_slice(m)), key=_slice_order),
    )


def _said_of(found: dict[str, Any], language: str) -> dict[str, str]:
    """The texts that only this report has: reasons, what measures mean and how they were made, in one language."""
    words = all_texts()[language]
    said = {f"about.{name}": words.get(f"about.{name}", about) for name, about in found["about"].items()}
    for g, gate in enumerate(found["gates"]):
        for r, reason in enumerate(gate["reasons"]):
            said[f"reason.{g}.{r}"] = reason["message"] if language == "en" else reason_text(reason, words)
    for method in sorted({measure["method"] for measure in found["measures"]}):
        said[f"method.{method}"] = method if language == "en" else method_text(method)
    for n, note in enumerate(found["notes"]):
        said[f"note.{n}"] = note if language == "en" else note_text(note)
    return said


def _is_slice(measure: dict[str, Any]) -> bool:
    """Whether it stands in the table of slices: fairness and safety have tables of their own."""
    apart = measure["name"] in FAIRNESS or measure["name"] in SAFETY
    return measure["slice"] != "all" and not apart


def _slice_order(measure: dict[str, Any]) -> int:
    """Groups first, then classes, then general skills; the order within is kept."""
    return {"label": 1, "skill": 2}.get(measure["slice"].partition("=")[0], 0)


@cache
def all_texts() -> dict[str, dict[str, str]]:
    """Language -> key -> text of the page."""
    text = (files("tunesmith.evaluate.report") / "texts.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def _part(name: str) -> str:
    return (files("tunesmith.evaluate.report") / "page" / name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<` that could end it or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def number(value: float | None, unit: str = "share", *, sign: bool = False) -> str:
    """A value as the report shows it; an en dash where there is none."""
    return "–" if value is None else figure(float(value), unit, sign=sign)


def bare(value: float, unit: str = "share", *, sign: bool = False) -> str:
    """A value without its unit, for columns in which the unit stands already."""
    return figure(float(value), unit, sign=sign).partition(" ")[0]


def plain(value: Any) -> str:
    """A provenance value on one line: mappings as `key: value`, large whole numbers with separators."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) if value not in (None, "") else "–"
