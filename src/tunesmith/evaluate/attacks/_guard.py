"""What an attack must not touch, so that the right answer stays the right one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_FREE = re.compile(r"(?<![\w'’@/.-])[^\W\d_]{4,}(?![\w'’@/-])")
_HAN_RUN = re.compile(r"[\u3400-\u9fff]{2,}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_FIXED = re.compile(
    r"\S*\d\S*"  # numbers, codes, doses
    r"|\S+@\S+|https?://\S+"
    r"|\b(?:no|not|nor|none|never|neither|without|cannot|except|unless|only|more|less|least|most|all|any|some|before|"
    r"after|under|over|and|or)\b|\b\w+n['’]t\b"
    r"|^[ \t]*[(\[]?[A-Ja-j][).\]:][ \t]"  # letters of options
    r"|[不没無无未非勿莫否别仅只零一二三四五六七八九十百千万亿两半第]",
    re.IGNORECASE | re.MULTILINE,
)
_MOST_REFERENCE_WORDS = 40


def fixed(text: str, row: Example, labels: Sequence[str]) -> list[tuple[int, int]]:
    """Stretches of `text` that no attack changes.

    Numbers and whatever has a digit, addresses, denials and quantities, letters of options, and every word that stands
    in a label or in the row's reference, where that is short enough to be an answer and not a text.
    """
    return [*_fixed(text), *_named(text, _answer_words(row, labels))]


@lru_cache(maxsize=2048)
def _fixed(text: str) -> tuple[tuple[int, int], ...]:
    return tuple(match.span() for match in _FIXED.finditer(text))


def _named(text: str, words: frozenset[str]) -> list[tuple[int, int]]:
    found = [match.span() for match in _WORD.finditer(text) if match[0].casefold() in words]
    for phrase in (word for word in words if _HAN.search(word)):
        found += [match.span() for match in re.finditer(re.escape(phrase), text)]
    return found


def _answer_words(row: Example, labels: Sequence[str]) -> frozenset[str]:
    reference = _WORD.findall(row.reference)
    said = reference if len(reference) <= _MOST_REFERENCE_WORDS else []
    return frozenset(word.casefold() for text in labels for word in _WORD.findall(text)) | {w.casefold() for w in said}


@dataclass(frozen=True)
class Guard:
    """Says of edits of one question whether the right answer stays the right one.

    Args:
        text: the question.
        fixed: stretches that stay, see `fixed`.
        words: words of the answers, folded; none that the question lacks may come in.
        level: of the attack. An instruction may say wrong answers on purpose, and the question must then stand as it
            was; what was recorded was judged when it was found.
    """

    text: str
    fixed: tuple[tuple[int, int], ...]
    words: frozenset[str]
    level: Level

    @staticmethod
    def of(text: str, row: Example, labels: Sequence[str], level: Level) -> Guard:
        """The guard of a row's question."""
        told = {word.casefold() for word in _WORD.findall(text)}
        return Guard(text, tuple(fixed(text, row, labels)), _answer_words(row, labels) - told, level)

    def allows(self, edit: Edit) -> bool:
        """Whether `edit` leaves the right answer the right one."""
        if self.level == "recorded":
            return True
        if self.level == "instruction":
            return edit.start == edit.end and not self._splits(edit)
        touched = any(edit.start < end and start < edit.end for start, end in self.fixed)
        if self._splits(edit) or (touched and not _reads_alike(self.text, edit)):
            return False
        return not {word.casefold() for word in _WORD.findall(edit.new)} & self.words

    def _splits(self, edit: Edit) -> bool:
        return any(start < edit.start == edit.end < end for start, end in self.fixed)


def _reads_alike(text: str, edit: Edit) -> bool:
    """Whether only the case of letters or the white space between words differs."""
    old = text[edit.start : edit.end]
    return old.casefold().split() == edit.new.casefold().split()


def free_words(text: str, row: Example, known: Known) -> list[tuple[int, int]]:
    """Words of four letters or more, and runs of Chinese characters, that no fixed stretch touches, in order."""
    stays = fixed(text, row, known.labels)
    places = [match.span() for match in (*_FREE.finditer(text), *_HAN_RUN.finditer(text))]
    return sorted(
        (a, b)
        for a, b in places
        if not any(a < end and start < b for start, end in stays)
        and (_HAN.match(text[a]) or not _HAN.search(text[a:b]))
    )
