"""Texts of any size out of real sentences, the same on every machine that has the same sources.

A document is three to twenty sentences drawn from the sources, one in ten of them Chinese where the sources have any.
One document in ten is a near copy of one before: a word of it is another one, or in a long one a sentence.
"""

from __future__ import annotations

import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
FILES = (
    "pubmedqa/train.jsonl",
    "medqa/questions.jsonl",
    "gsm8k/train.jsonl",
    "huatuo_zh/questions.jsonl",
    "tatqa/dev.json",
    "formats/alpaca_en_demo.json",
    "formats/alpaca_zh_demo.json",
)
SEED = 0
CHINESE_SHARE = NEAR_SHARE = 0.1
SENTENCES = (3, 20)
CHARACTERS = (20, 400)
_REMEMBERED = 2000
_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_HAN = re.compile("[\u4e00-\u9fff]")


def write(path: Path, megabytes: float) -> str:
    """Write rows `{"id": N, "text": ...}` of about so many megabytes of text; says what they are made of."""
    english, chinese, told = sentences()
    size, number = 0, 0
    with path.open("w", encoding="utf-8") as file:
        for text in documents(english, chinese):
            file.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
            size, number = size + len(text.encode("utf-8")), number + 1
            if size >= megabytes * 1e6:
                break
    return f"{megabytes:g} MB: {number:,} documents of {told}"


def sentences() -> tuple[list[str], list[str], str]:
    """English and Chinese sentences of the sources, and what the sources are."""
    files = [SHARED / name for name in FILES if (SHARED / name).is_file()]
    found: set[str] = set()
    for file in files:
        raw = file.read_text(encoding="utf-8")
        values = map(json.loads, filter(str.strip, raw.split("\n"))) if file.suffix == ".jsonl" else [json.loads(raw)]
        found.update(_pieces("\n".join(_strings(list(values)))))
    told = f"sentences of {len(files)} files of ../shared/data"
    if not files:
        for module in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            found.update(_pieces(" ".join(re.findall(r'"""(.*?)"""', module.read_text(encoding="utf-8"), re.DOTALL))))
        told = "sentences of the Python library's docstrings (../shared/data is not there)"
    ordered = sorted(found)
    chinese = [sentence for sentence in ordered if _HAN.search(sentence)]
    return [sentence for sentence in ordered if not _HAN.search(sentence)], chinese, told


def documents(english: list[str], chinese: list[str]) -> Iterator[str]:
    """Documents without end."""
    draw = random.Random(SEED)
    before: list[tuple[str, list[str]]] = []
    while True:
        if before and draw.random() < NEAR_SHARE:
            joint, parts = draw.choice(before)
            yield joint.join(_changed(list(parts), draw))
            continue
        in_chinese = bool(chinese) and draw.random() < CHINESE_SHARE
        joint, pool = ("", chinese) if in_chinese else (" ", english)
        parts = [draw.choice(pool) for _ in range(draw.randint(*SENTENCES))]
        before = [*before[-_REMEMBERED:], (joint, parts)]
        yield joint.join(parts)


def _changed(parts: list[str], draw: random.Random) -> list[str]:
    place = draw.randrange(len(parts))
    if len(parts) > SENTENCES[1] // 2:
        parts[place] = draw.choice(parts)
        return parts
    words = parts[place].split(" ")
    words[draw.randrange(len(words))] = "another"
    parts[place] = " ".join(words)
    return parts


def _pieces(text: str) -> Iterator[str]:
    for piece in _END.split(text):
        sentence = " ".join(piece.split())
        if CHARACTERS[0] <= len(sentence) <= CHARACTERS[1]:
            yield sentence


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
