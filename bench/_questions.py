"""Questions of many domains, as a gateway gets them: real rows of `../shared/data` and of the recipes, as plain texts.

Each has a class inside its domain and a group; rows of one group (a code's category, a template's people, a report)
never stand on both sides of a split, as in the data room. New questions of BBQ have other people in the same templates:
divided by template, as they were first, they were of another kind than all that was learnt from and calibrated on.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import _process

SHARED = _process.ROOT / ".." / "shared" / "data"


class Question(NamedTuple):
    """One question: its text, its class inside the domain, and its group."""

    text: str
    kind: str
    group: str


def questions(name: str) -> list[Question]:
    """All questions of the set `name`, each text once, in an order that depends on nothing but the texts.

    Raises:
        SystemExit: its file is not there.
    """
    found = {question.text: question for question in _SETS[name]()}
    return sorted(found.values(), key=lambda question: place(question.text))


def parts(rows: Sequence[Question], shares: Sequence[float]) -> list[list[Question]]:
    """`rows` divided by group, in these shares of the groups (they sum to 1); the same groups always go together."""
    groups = sorted({row.group for row in rows}, key=lambda group: place(f"part {group}"))
    borders = [round(sum(shares[:n]) * len(groups)) for n in range(len(shares) + 1)]
    found = []
    for low, high in itertools.pairwise(borders):
        inside = set(groups[low:high])
        found.append([row for row in rows if row.group in inside])
    return found


def place(text: str) -> bytes:
    """A place for everything that depends on its text alone: the digest."""
    return hashlib.sha256(text.encode()).digest()


def _icd() -> Iterable[Question]:
    from tunesmith.project.recipes.medical_coding import diagnoses

    for row in diagnoses():
        yield Question(row.diagnosis, row.chapter, row.category)


def _bbq(category: str) -> Callable[[], Iterable[Question]]:
    def read() -> Iterable[Question]:
        for row in _lines(f"bbq/{category}.jsonl"):
            template = f"{category} {row['question_index']}"
            people = sorted(name for name, kind in row["answer_info"].values() if kind != "unknown")
            yield Question(f"{row['context']} {row['question']}", template, f"{template}: {', '.join(people)}")

    return read


def _pubmedqa() -> Iterable[Question]:
    for row in _lines("pubmedqa/train.jsonl"):
        yield Question("\n".join([*row["CONTEXTS"], row["QUESTION"]]), row["final_decision"], row["id"])


def _medqa() -> Iterable[Question]:
    for row in _lines("medqa/questions.jsonl"):
        yield Question(row["question"], row["meta_info"], row["question"])


def _gsm8k() -> Iterable[Question]:
    for row in _lines("gsm8k/train.jsonl"):
        yield Question(row["question"], "gsm8k", row["question"])


def _tatqa() -> Iterable[Question]:
    for report in json.loads(_file("tatqa/dev.json").read_text(encoding="utf-8")):
        for row in report["questions"]:
            yield Question(row["question"], row["answer_type"], report["table"]["uid"])


def _huatuo() -> Iterable[Question]:
    for row in _lines("huatuo_zh/questions.jsonl"):
        yield Question(row["instruction"], "huatuo", row["instruction"])


def _alpaca(language: str) -> Callable[[], Iterable[Question]]:
    def read() -> Iterable[Question]:
        for row in json.loads(_file(f"formats/alpaca_{language}_demo.json").read_text(encoding="utf-8")):
            text = "\n".join(filter(None, (row["instruction"], row["input"])))
            yield Question(text, f"alpaca {language}", text)

    return read


def _credit() -> Iterable[Question]:
    from ruamel.yaml import YAML

    from tunesmith.app.workshop import Workshop

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "credit"
        Workshop().new(folder, recipe="finance-credit")
        project = YAML(typ="safe", pure=True).load((folder / "tunesmith.yaml").read_text(encoding="utf-8"))
        source = project["data"]["sources"][0]
        with (folder / source["path"]).open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                yield Question(source["template"].format(**row), row["risk"], f"application {number}")


def _machines() -> Iterable[Question]:
    with _file("ai4i/machines.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            told = [f"{name.partition(' [')[0].lower()} {row[name]}" for name in row if "[" in name]
            yield Question(f"quality {row['Type']}, " + ", ".join(told), row["Machine failure"], row["UDI"])


_SETS: dict[str, Callable[[], Iterable[Question]]] = {
    "icd": _icd,
    "bbq age": _bbq("Age"),
    "bbq religion": _bbq("Religion"),
    "pubmedqa": _pubmedqa,
    "medqa": _medqa,
    "gsm8k": _gsm8k,
    "tatqa": _tatqa,
    "huatuo": _huatuo,
    "alpaca zh": _alpaca("zh"),
    "alpaca en": _alpaca("en"),
    "credit": _credit,
    "machines": _machines,
}


def _lines(name: str) -> Iterable[dict[str, Any]]:
    with _file(name).open(encoding="utf-8", newline="\n") as lines:  # texts hold other ends of lines
        yield from map(json.loads, lines)


def _file(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        raise SystemExit(f"detection: {name} is wanted in {SHARED}")
    return path
