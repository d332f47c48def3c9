"""What texts are compared by: words, numbers, names; Chinese by its characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*|(?<=[^\W\d_])\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*")
_MARKER = re.compile(r"(?m)^[ \t]*\(?\d{1,2}[.)、](?=\s|\D)")
_HEAD = re.compile(r"(?:^|[.!?:;\n\"“(\[]|[-*•])\s*$")
_CAPITAL = re.compile(rf"[^\W_{_HAN}]*[A-Z][^\W_{_HAN}]*(?:[-'’][^\W_{_HAN}]+)*")
_QUOTED = re.compile("[《“「『]([^《》“”「」『』]{1,40})[》”」』]")
_SPELT = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "zero": 0, "twice": 2, "half": 50, "both": 2,
}  # fmt: skip
_HAN_DIGITS = {digit: str(number) for number, digit in enumerate("零一二三四五六七八九十")} | {"两": "2"}
STOP = frozenset(
    ["a", "about", "after", "all", "also", "although", "an", "and", "another", "any", "are", "as", "at", "be",
     "because",
     "been", "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "during", "each",
     "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "however", "i", "if", "in", "into", "is",
     "it", "its", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "of", "on", "one", "only",
     "or",
     "other", "our", "over", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them",
     "then", "there", "these", "they", "this", "those", "to", "under", "us", "very", "was", "we", "were", "what",
     "when",
     "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "yes", "you", "your"]
)  # fmt: skip


def tokens(text: str) -> list[str]:
    """Lower-case words; each Chinese character is one (as `rouge-score` has it for words)."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def telling(text: str) -> set[str]:
    """The words that carry what a text says: no stop words; of Chinese, pairs of neighbouring characters."""
    found = tokens(text)
    han = {a + b for a, b in pairwise(found) if _is_han(a) and _is_han(b)}
    return han | {word for word in found if not _is_han(word) and word not in STOP}


def numbers(text: str) -> set[str]:
    """Every number in digits, without separators of thousands and closing zeros; numbers of lists are left out."""
    plain = _MARKER.sub(" ", unicodedata.normalize("NFKC", text))
    return {_plain_number(match.group()) for match in _NUMBER.finditer(plain)}


def known_numbers(text: str) -> set[str]:
    """`numbers`, and what a text says in words: two, twenty, 三."""
    spelt = {str(_SPELT[word]) for word in tokens(text) if word in _SPELT}
    return numbers(text) | spelt | {_HAN_DIGITS[c] for c in text if c in _HAN_DIGITS}


def names(text: str) -> set[str]:
    """Words with a capital that do not only open a sentence; in Chinese text also Latin words and what is in quotes."""
    plain = unicodedata.normalize("NFKC", text)
    found = set(_QUOTED.findall(plain))
    for match in _CAPITAL.finditer(plain):
        word = match.group()
        opens = bool(_HEAD.search(plain[max(0, match.start() - 3) : match.start()]))
        if word != "I" and not (opens and word[1:].islower()) and len(word) > 1:
            found.add(word)
    return found


def longest_run(text: str, source: str, limit: int) -> bool:
    """Whether more than `limit` words of `text` stand one after the other in `source` too."""
    said, there = tokens(text), tokens(source)
    size = limit + 1
    known = {tuple(there[at : at + size]) for at in range(len(there) - size + 1)}
    return any(tuple(said[at : at + size]) in known for at in range(len(said) - size + 1))


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """ROUGE-L F-measure of two lists of words (Lin 2004), without stemming."""
    if not one or not other:
        return 0.0
    return 2 * _common(one, other) / (len(one) + len(other))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits of one integer (Hyyrö 2004): a row at a time."""
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    row = full = (1 << len(one)) - 1
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(one) - row.bit_count()


def _plain_number(text: str) -> str:
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    text = text.replace(",", ".")
    if text.count(".") == 1:
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("0") or "0" if "." not in text else text


def _is_han(word: str) -> bool:
    return len(word) == 1 and re.match(f"[{_HAN}]", word) is not None
