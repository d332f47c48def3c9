"""What a row looks like: the form of its answer, and what its question carries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tunesmith.core.types import Example, Message
from tunesmith.data.chinese import HAN, han_share
from tunesmith.data.tasks.catalogue import Form, Given, Language

_CHINESE_SHARE = 0.15
_SHORT_WORDS, _LONG_WORDS, _LABEL_WORDS = 25, 60, 4
_HEAD, _TAIL = 400, 240
"""Characters of the beginning and the end of a long question that are looked at: what is asked stands there."""
_YES_NO = re.compile(
    r"^\W*(?:yes|no|maybe|true|false|correct|incorrect|是的?|否|不是|对|错|正确|错误)\b", re.IGNORECASE
)
_LETTER = re.compile(r"^\W*(?:the answer is |答案[是为：:]*)?\(?[A-H]\)?[.:：、)]?(?:\s|$)")
_NUMBER = re.compile(r"^[\W]*[$€¥£]?-?\d[\d,.]*\s*(?:%|％|\w{0,12})\.?$|####\s*-?[\d.,]+\s*$")
_CHAIN = re.compile(r"\d\s*[-+*/×÷=]\s*\$?\d.*=|####", re.DOTALL)
_LIST = re.compile(r"(?m)^\s*(?:[-*•]|\(?\d{1,2}[.)、]|[a-zA-Z][.)])\s+\S")
_CODE = re.compile(
    r"```|(?m:^\s*(?:def |class |import |#include|public |function |SELECT |<[a-z]+[ >]|\w+\(.*\)\s*[;{]))"
)
_TABLE = re.compile(r"(?m)^\s*\|.*\|\s*$|\t.*\t|(?:\|\s*-{3,})")
_OPTIONS = re.compile(
    r"(?:^|\s)\(?A\)?[.):：、]\s*\S.*?(?:^|\s)\(?B\)?[.):：、]\s*\S|(?m:^\s*[-•*]\s*\S{1,30}\s*$\n\s*[-•*]\s*\S)",
    re.DOTALL,
)
_IMAGE, _AUDIO = re.compile(r"<image>|\[image\]"), re.compile(r"<audio>|\[audio\]")


@dataclass(frozen=True)
class Looks:
    """A row as the classifier sees it.

    Fields:
        asked: system message and last question: their beginning, and their end where they are long.
        answer: what was answered.
        language: `zh` where at least 15 % of the question's letters are Chinese.
        forms: what the answer looks like; given: what the question carries.
    """

    asked: str
    answer: str
    language: Language
    forms: frozenset[Form]
    given: frozenset[Given]


def looks_of(example: Example) -> Looks | None:
    """How a row looks; None for plain text, which nobody asked anything."""
    asked = [message for message in example.prompt if message.role == "user"]
    if not asked or (example.text is not None and len(example.messages) == 1):
        return None
    told = [message.content for message in example.prompt if message.role == "system"]  # often the instruction itself
    question, answer = "\n".join([*told, asked[-1].content]).strip(), _answer(example)
    shown = question if len(question) <= _HEAD + _TAIL else f"{question[:_HEAD]}\n{question[-_TAIL:]}"
    language: Language = "zh" if han_share(question) >= _CHINESE_SHARE else "en"
    return Looks(shown, answer, language, forms(answer), _given(example, question, asked))


def forms(answer: str) -> frozenset[Form]:
    """What an answer looks like; several forms at once where they fit."""
    text = answer.strip()
    size = len(HAN.findall(text)) / 2 + len(re.findall(r"[^\W_]+", HAN.sub(" ", text)))
    found: dict[Form, bool] = {
        "yes_no": bool(_YES_NO.match(text)),
        "letter": bool(_LETTER.match(text)),
        "label": 0 < size <= _LABEL_WORDS,
        "number": bool(_NUMBER.search(text)),
        "short": 0 < size <= _SHORT_WORDS and text.count("\n") < 2,
        "long": size > _LONG_WORDS,
        "list": len(_LIST.findall(text)) >= 2 or (size <= _LONG_WORDS and len(re.findall(r"[,，、]", text)) >= 3),
        "code": bool(_CODE.search(text)),
        "json": _is_json(text),
        "table": bool(_TABLE.search(text)),
        "verse": _is_verse(text),
        "chain": bool(_CHAIN.search(text)),
    }
    return frozenset(form for form, is_so in found.items() if is_so)


def _answer(example: Example) -> str:
    said = [message.content for message in example.messages if message.role == "assistant"]
    return (said[-1] if said else "") or (example.target or "")


def _given(example: Example, question: str, asked: list[Message]) -> frozenset[Given]:
    calls = any(message.tool_calls or message.role == "tool" for message in example.messages)
    found: dict[Given, bool] = {
        "options": bool(_OPTIONS.search(question)),
        "table": bool(_TABLE.search(question)),
        "turns": len(asked) > 1,
        "tools": calls,
        "image": bool(example.images) or bool(_IMAGE.search(question)),
        "audio": bool(example.audio) or bool(_AUDIO.search(question)),
    }
    return frozenset(name for name, is_so in found.items() if is_so)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_verse(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) >= 4 and all(len(line) <= 60 for line in lines) and not _LIST.search(text)
