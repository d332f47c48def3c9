"""Repetition rules of Gopher: repeated lines, paragraphs and n-grams (Rae et al. 2021, table A1)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import is_chinese, repeated, said, words

MOST_LINES = MOST_PARAGRAPHS = 0.30
MOST_LINE_CHARACTERS = MOST_PARAGRAPH_CHARACTERS = 0.20
MOST_TOP_GRAM = {2: 0.20, 3: 0.18, 4: 0.16}
MOST_REPEATED_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_PARAGRAPH, _LINE = re.compile(r"\n{2,}"), re.compile(r"\n+")


@dataclass(frozen=True)
class GopherRepetition:
    """Refuses rows with a text that repeats itself: lines, paragraphs, or runs of two to ten words.

    Every text of a row is judged, answers of conversations too: a model that loops is found there. Constants: Rae et
    al. 2021 (arXiv:2112.11446), table A1. Words are split at white space; in Chinese they are jieba's.

    Args:
        at_least_words: shorter texts are not judged: in a short one nearly everything is a large share (50, as for
            Gopher's documents).
    """

    at_least_words: int = 50

    def judge(self, example: Example) -> Refusal | None:
        """The first rule that a text of the row breaks."""
        for text in said(example):
            found = words(text)
            if len(found) >= self.at_least_words and (broken := gopher_repetition_broken(text, found)):
                return broken
        return None


def gopher_repetition_broken(text: str, found: Sequence[str]) -> Refusal | None:
    """The first rule that `text` with the words `found` breaks, in the order of the table; None where it keeps all."""
    return _parts(text) or _grams(text, found)


def _parts(text: str) -> Refusal | None:
    for name, parts in (("paragraphs", _PARAGRAPH.split(text.strip())), ("lines", _LINE.split(text))):
        count, characters = repeated(parts)
        if count / len(parts) > MOST_LINES:
            return _refusal(name, count / len(parts), MOST_LINES)
        if characters / len(text) > MOST_LINE_CHARACTERS:
            return _refusal(f"{name}-characters", characters / len(text), MOST_LINE_CHARACTERS)
    return None


def _grams(text: str, found: Sequence[str]) -> Refusal | None:
    """Runs of n words are numbered by the runs of n - 1 words in them: a word is looked at once for each n."""
    joint = 0 if is_chinese(text) else 1
    words_ = runs = _numbered(found)
    for n in range(2, max(MOST_REPEATED_GRAMS) + 1):
        runs = _numbered(zip(runs, words_[n - 1 :], strict=False))
        if len(set(runs)) == len(runs):
            return None  # no run of n words stands twice, so no longer one does
        if n in MOST_TOP_GRAM:
            name, most, share = f"top-{n}-gram", MOST_TOP_GRAM[n], _top_gram(runs, found, n, joint) / len(text)
        else:
            name, most, share = f"{n}-grams", MOST_REPEATED_GRAMS[n], _repeated_grams(runs, found, n) / len(text)
        if share > most:
            return _refusal(name, share, most)
    return None


def _numbered(items: Iterable[Hashable]) -> list[int]:
    """Equal items have equal numbers."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(item, len(numbers)) for item in items]


def _top_gram(runs: Sequence[int], found: Sequence[str], n: int, joint: int) -> int:
    """Characters that the most frequent run of `n` words makes up in all its places; the first one on a tie."""
    run, times = Counter(runs).most_common(1)[0]
    place = runs.index(run)
    return (sum(map(len, found[place : place + n])) + joint * (n - 1)) * times


def _repeated_grams(runs: Sequence[int], found: Sequence[str], n: int) -> int:
    """Characters in runs of `n` words that were there before; runs do not overlap, so no character counts twice."""
    seen: set[int] = set()
    characters = i = 0
    while i < len(runs):
        if runs[i] in seen:
            characters += sum(map(len, found[i : i + n]))
            i += n
        else:
            seen.add(runs[i])
            i += 1
    return characters


def _refusal(what: str, share: float, most: float) -> Refusal:
    return Refusal(reason=f"repeated-{what}", detail=f"{share:.0%}, at most {most:.0%}")
