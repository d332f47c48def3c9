"""The same question asked in another way: rules over the question sentence, frames around it, politeness."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from tunesmith.data.augment._guard import Guard
from tunesmith.data.chinese import HAN
from tunesmith.data.extract._text import sentences

Part = Literal["frames", "polite"]

_GROUP = re.compile(r"\$(\d)")
_ASKED = re.compile(r"[?？][\"”’)）]*$")


def worded(text: str, dice: random.Random) -> str:
    """The text with its question asked in another way: by a rule where one fits, else in a frame."""
    start, end = asked(text)
    question = text[start:end]
    if not question:
        return text
    table = _table()[_language(question)]
    fitting = [(re.match(pattern, question), texts) for pattern, texts in table["rules"]]
    choices = [_GROUP.sub(lambda g, m=m: m[int(g[1])], each) for m, texts in fitting if m for each in texts]  # type: ignore[misc]
    if not choices:
        return framed(text, "frames", dice)
    return text[:start] + dice.choice(choices) + text[end:]


def framed(text: str, part: Part, dice: random.Random) -> str:
    """The text with a frame around its question; around all of it where it has none."""
    start, end = asked(text)
    start, end = (start, end) if _ASKED.search(text[start:end]) else (0, len(text))
    question = text[start:end].strip()
    frame = dice.choice(_table()[_language(question)][part])
    return text[:start] + frame.replace("$0", question) + text[end:] if question else text


def asked(text: str) -> tuple[int, int]:
    """Start and end of the sentence that asks: the last one with a question mark, else the only one; (0, 0) for none.

    A label before it (`Question:`) does not belong to it.
    """
    found = list(sentences(text))
    questions = [(start, end) for start, end in found if _ASKED.search(text[start:end])]
    if not questions and len(found) != 1:
        return 0, 0
    start, end = questions[-1] if questions else found[0]
    label = re.match(r"[^\W\d][^:：\n.。?？]{0,40}[:：][ \t]*", text[start:end])
    start += label.end() if label and label.end() < end - start else 0
    return (start, end) if Guard(text).free(start, end) else (0, 0)


def _language(text: str) -> str:
    return "zh" if HAN.search(text) else "en"


@cache
def _table() -> Any:
    return json.loads(files("tunesmith.data.augment").joinpath("_wordings.json").read_text(encoding="utf-8"))
