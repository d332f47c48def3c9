"""Raw data of `../shared/data` as the rows of the projects in `bench/projects`.

Whatever is chosen or shortened here is chosen by a rule and a fixed seed, never by looking at what a model says.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from bench import _process

DATA = _process.ROOT / ".." / "shared" / "data"
SEED = 0

CODES = {
    "A11": "overdrawn", "A12": "under 200", "A13": "200 or salary", "A14": "none",
    "A30": "no credits", "A31": "all paid here", "A32": "paid so far", "A33": "delays", "A34": "critical",
    "A40": "new car", "A41": "used car", "A42": "furniture", "A43": "radio or television", "A44": "appliances",
    "A45": "repairs", "A46": "education", "A48": "retraining", "A49": "business", "A410": "others",
    "A61": "under 100", "A62": "100 to 500", "A63": "500 to 1000", "A64": "over 1000", "A65": "unknown",
    "A71": "not", "A72": "under 1 year", "A73": "1 to 4 years", "A74": "4 to 7 years", "A75": "over 7 years",
    "A141": "bank", "A142": "stores", "A143": "none",
    "A151": "rents", "A152": "owns home", "A153": "lives free",
    "1": "good", "2": "bad",
}  # fmt: skip
"""Codes of the UCI file (statlog german) -> few tokens with the same meaning."""

FEMALE = ("A92", "A95")
YOUNG_BELOW = 26
"""Age in years; the border that the literature on this data set uses (Kamiran and Calders 2009)."""

_CREDIT = {
    "account": 0,
    "history": 2,
    "purpose": 3,
    "savings": 5,
    "employed": 6,
    "plans": 13,
    "housing": 14,
    "risk": 20,
}

KINDS = {
    "科室": re.compile(r"科室|[一-鿿]科(?:就诊|就医|诊|或|、|。|$)"),
    "并发症": re.compile(r"并发症"),
    "检查": re.compile(r"检查|化验|检测"),
    "治疗": re.compile(r"治疗|手术|药物|服用"),
    "诊断": re.compile(r"患有|患了|可能是|考虑|疑似"),
}
"""What an answer of Huatuo is about: the kind whose words come first in it; answers without any are left out."""

MOST_OF_A_KIND = 120
LONGEST_QUESTION = 44
"""Characters; two of them take about three tokens of a model that was not made for Chinese."""

Table = list[dict[str, str]]


def credit() -> Table:
    """German credit applications with the applicant's sex and age group."""
    return [_application(line.split()) for line in _lines("german_credit/german.data")]


def _application(codes: Sequence[str]) -> dict[str, str]:
    sex = "female" if codes[8] in FEMALE else "male"
    return {
        **{name: CODES[codes[place]] for name, place in _CREDIT.items()},
        "months": codes[1],
        "amount": codes[4],
        "person": {"female": "woman", "male": "man"}[sex],
        "sex": sex,
        "age_group": "younger" if int(codes[12]) < YOUNG_BELOW else "older",
    }


def pubmedqa() -> Table:
    """PubMedQA without its abstracts: question, conclusion, yes, no or maybe; in an order drawn by the seed."""
    records = [json.loads(line) for line in _lines("pubmedqa/train.jsonl")]
    rows = [
        {
            "question": record["QUESTION"],
            "conclusion": record["LONG_ANSWER"],
            "decision": record["final_decision"],
            "decade": f"{int(record['YEAR']) // 10 * 10}s" if record["YEAR"] else "unknown",
            "question_length": _length(record["QUESTION"], 75, 105),
        }
        for record in records
    ]
    return random.Random(SEED).sample(rows, len(rows))


def chinese() -> Table:
    """Short questions of Huatuo that say the patient's sex, with what their answers are about."""
    piles: dict[str, Table] = {kind: [] for kind in KINDS}
    for line in _lines("huatuo_zh/questions.jsonl"):
        record = json.loads(line)
        question, sex, kind = record["instruction"], _sex(record["instruction"]), kind_of(record["output"])
        if sex and kind and len(question) <= LONGEST_QUESTION:
            length = _length(question, 31, 38)
            piles[kind].append({"question": question, "kind": kind, "sex": sex, "question_length": length})
    dice = random.Random(SEED)
    return [row for pile in piles.values() for row in dice.sample(pile, min(MOST_OF_A_KIND, len(pile)))]


def kind_of(answer: str) -> str | None:
    """The kind whose words come first in the answer; None where it has no such words."""
    found = {kind: match.start() for kind, pattern in KINDS.items() if (match := pattern.search(answer))}
    return min(found, key=found.__getitem__) if found else None


def _sex(question: str) -> str | None:
    male, female = re.search("男|先生", question), re.search("女", question)
    return None if bool(male) == bool(female) else "male" if male else "female"


def _length(text: str, short: int, long: int) -> str:
    return "short" if len(text) <= short else "long" if len(text) > long else "medium"


def _lines(name: str) -> list[str]:
    file: Path = DATA / name
    if not file.is_file():
        raise SystemExit(f"reports: {file.name} is wanted in {file.parent}")
    return file.read_text(encoding="utf-8").rstrip("\n").split("\n")  # a text may hold other line ends
