"""What quality rules look at: the documents of a row, their words, lines and sentences.

Words of languages with spaces are what stands between white space, as in the papers; Chinese is cut by jieba's
dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tunesmith.core.types import Example
from tunesmith.data.chinese import HAN, cut, han_share

CHINESE_SHARE = 0.5
TERMINAL = tuple(".!?\"'。！？…”’」』｡．")
"""Marks that end a sentence, or the quotation around it, in English and Chinese."""
_SENTENCE_END = re.compile(r"[.!?](?=[\"')\]]?(?:\s|$))|[。！？…]+")


def documents(example: Example) -> list[str]:
    """The plain text of a row without conversation; nothing for any other: the papers' rules are about documents."""
    return [] if example.text is None else [example.text]


def said(example: Example) -> list[str]:
    """Every text that people wrote in a row: contents and reasoning of all turns but tools', the rejected turn."""
    turns = [*example.messages, *([example.rejected] if example.rejected else [])]
    return [text for turn in turns if turn.role != "tool" for text in (turn.reasoning or "", turn.content) if text]


@lru_cache(maxsize=1)
def words(text: str) -> tuple[str, ...]:
    """What stands between white space; pieces with Chinese characters are cut into words and punctuation.

    The last text's are remembered: one filter after the other asks for them.
    """
    pieces = text.split()
    if text.isascii() or not HAN.search(text):
        return tuple(pieces)
    return tuple(word for piece in pieces for word in (cut(piece) if HAN.search(piece) else [piece]))


def is_word(word: str) -> bool:
    """Whether it has a letter or digit: punctuation that stands alone is no word."""
    return word[:1].isalnum() or any(map(str.isalnum, word))


def is_chinese(text: str) -> bool:
    """Whether at least half of the letters are Chinese characters."""
    return han_share(text) >= CHINESE_SHARE


def sentences(text: str) -> int:
    """Number of sentences: places where a full stop, question or exclamation mark ends one, at least 1 for any word."""
    found = len(_SENTENCE_END.findall(text))
    rest = _SENTENCE_END.split(text)[-1]
    return found + any(map(str.isalnum, rest))


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """(parts that were there before, their characters)."""
    seen: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in seen:
            count, characters = count + 1, characters + len(part)
        seen.add(part)
    return count, characters
