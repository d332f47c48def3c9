"""Rows out of what a model wrote: JSON where there is any, else lines with labels, else nothing."""

from __future__ import annotations

import json
import re

_MOST_TRIES = 200
_LONGEST = 200_000
_LABELS = {
    "question": "question",
    "q": "question",
    "instruction": "question",
    "问题": "question",
    "指令": "question",
    "answer": "answer",
    "a": "answer",
    "output": "answer",
    "回答": "answer",
    "答案": "answer",
    "evidence": "evidence",
    "quote": "evidence",
    "e": "evidence",
    "证据": "evidence",
    "原文": "evidence",
    "依据": "evidence",
}
_LINE = re.compile(
    r"^[\s#*\->]*(?:\d{1,2}[.)、]\s*)?[*_\"]*(" + "|".join(sorted(_LABELS, key=len, reverse=True)) + r")"
    r"\s*\d{0,2}[*_\"]*\s*[:：][*_]*\s*(.*)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^\s*(?:(?:task|instruction|任务|指令)\s*)?\d{1,3}\s*[.)、:：]\s*(.*)$", re.IGNORECASE)


def items(text: str) -> list[dict[str, str]]:
    """The rows in a model's answer, each with some of `question`, `answer`, `evidence`; empty where there are none.

    Of an answer that was cut off, the rows that are whole are read.
    """
    text = text[:_LONGEST]
    return _objects(text) or _labelled(text)


def numbered(text: str) -> list[str]:
    """The items of a list `1. ... 2. ...`; text before the first number is no item, lines without one go on."""
    found: list[str] = []
    for line in text[:_LONGEST].splitlines():
        if match := _NUMBERED.match(line):
            found.append(match[1])
        elif found and line.strip():
            found[-1] += "\n" + line
    return [item.strip() for item in found if item.strip()]


def _objects(text: str) -> list[dict[str, str]]:
    decoder, found, at = json.JSONDecoder(), list[dict[str, str]](), text.find("{")
    for _ in range(_MOST_TRIES):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            fields = {_LABELS.get(str(name).strip().casefold(), ""): _plain(said) for name, said in value.items()}
            found += [{name: said for name, said in fields.items() if name and said}]
        at = text.find("{", end)
    return [item for item in found if item]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def _labelled(text: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    label = ""
    for line in text.splitlines():
        if match := _LINE.match(line):
            label = _LABELS[match[1].casefold()]
            if label == "question" or not found or label in found[-1]:
                found.append({})
            found[-1][label] = match[2].strip()
        elif label and line.strip():
            found[-1][label] = f"{found[-1][label]}\n{line.strip()}".strip()
        elif not line.strip() and label == "evidence":
            label = ""
    return [{name: said.strip('"“” ') for name, said in item.items() if said.strip('"“” ')} for item in found if item]
