"""Slips of the keyboard: neighbouring keys, swapped, lost and doubled letters; Chinese characters of the same sound."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import cache

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.data.augment._guard import Guard
from tunesmith.data.chinese import HAN, cut, frequency
from tunesmith.data.meaning import NUMBER_WORDS, denials

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"(?<![\w'’-])[a-z]{4,}(?![\w'’-])")
_NUMBERS = frozenset(NUMBER_WORDS)
_NOT_TOUCHED = re.compile("[不没無无未非勿莫否别零一二三四五六七八九十百千万亿两半第]")
_COMMON = 3000


def mistyped(text: str, dice: random.Random, *, rate: float, kept: Collection[str]) -> str:
    """The text with slips in about `rate` of its words, at least in one where there is one that may have it.

    Words in small letters of four letters or more; Chinese words of two characters or more that become no other word.
    Guarded stretches, numbers, denials and `kept` words (folded) stay.

    Raises:
        MissingLibrary: the text is Chinese, and pypinyin is not installed.
    """
    guard = Guard(text)
    chinese = bool(HAN.search(text))
    places = _chinese_words(text) if chinese else [match.span() for match in _WORD.finditer(text)]
    free = [(a, b) for a, b in places if guard.free(a, b) and not _stays(text[a:b], kept, chinese)]
    if not free:
        return text
    taken = sorted(dice.sample(free, min(len(free), max(1, round(rate * len(places))))))
    slip: Callable[[str, random.Random], str] = _homophone if chinese else _slip
    parts, end = [], 0
    for start, stop in taken:
        parts += [text[end:start], slip(text[start:stop], dice)]
        end = stop
    return "".join([*parts, text[end:]])


def _stays(word: str, kept: Collection[str], chinese: bool) -> bool:
    if chinese:
        return bool(denials(word) or _NOT_TOUCHED.search(word) or any(word in one for one in kept))
    return word in kept or word in _NUMBERS or denials(word) > 0


def _slip(word: str, dice: random.Random) -> str:
    """The word with one slip behind its first letter."""
    at = dice.randrange(1, len(word))
    way = dice.choice(("near", "swap", "lose", "double"))
    if way == "swap" and at + 1 < len(word) and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if way == "lose":
        return word[:at] + word[at + 1 :]
    if way == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + dice.choice(_neighbours(word[at])) + word[at + 1 :]


def _neighbours(letter: str) -> str:
    """The letters left and right of a letter on a QWERTY keyboard."""
    row = next(row for row in _ROWS if letter in row)
    at = row.index(letter)
    return row[max(0, at - 1) : at] + row[at + 1 : at + 2]


def _chinese_words(text: str) -> list[tuple[int, int]]:
    found, place = [], 0
    for word in cut(text):
        if len(word) > 1 and all(map(HAN.match, word)):
            found.append((place, place + len(word)))
        place += len(word)
    return found


def _homophone(word: str, dice: random.Random) -> str:
    """The word with one character of the same sound and another tone or sign; itself where that makes another word."""
    order = dice.sample(range(len(word)), len(word))
    for at in order:
        others = [c for c in _same_sound().get(word[at], "") if not frequency(word[:at] + c + word[at + 1 :])]
        if others:
            return word[:at] + dice.choice(others[:5]) + word[at + 1 :]
    return word


@cache
def _same_sound() -> dict[str, str]:
    """Character -> common characters with the same syllable, the most frequent first."""
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError:
        message = "Chinese slips need the library 'pypinyin', which is not installed"
        raise MissingLibrary(Problem("needs-library", message, "pip install 'tunesmith[augment]'")) from None
    characters = sorted(map(chr, range(0x4E00, 0xA000)), key=lambda c: (-frequency(c), c))[:_COMMON]
    sounds: dict[str, list[str]] = defaultdict(list)
    for character in characters:
        if not denials(character) and not _NOT_TOUCHED.match(character):
            sounds[lazy_pinyin(character, style=Style.NORMAL)[0]].append(character)
    return {c: "".join(o for o in group if o != c) for group in sounds.values() for c in group}
