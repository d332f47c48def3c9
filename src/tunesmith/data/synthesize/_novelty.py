"""Whether a text is new among many: the novelty filter of self-instruct, exact and without comparing all with all."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from tunesmith.data.synthesize._words import rouge_l, tokens


class Pool:
    """Texts that are unlike each other: none has a ROUGE-L of `below` or more with another.

    Wang et al. 2022 (arXiv:2212.10560, section 2.2) add an instruction only where its ROUGE-L with every one that is
    there is less than 0.7. A ROUGE-L of t between m and n words needs t (m + n) / 2 shared ones, so at least
    t m / (2 - t) of the m; texts that share none of the first m - ceil(t m / (2 - t)) + 1 words, in one order that all
    texts have in common, need not be compared. The order is by length: long words are rare.

    Args:
        below: in (0, 1]; ROUGE-L from which on two texts count as alike.
    """

    def __init__(self, below: float) -> None:
        self._below = below
        self._texts: list[list[str]] = []
        self._by_head: dict[tuple[str, int], list[int]] = defaultdict(list)

    def nearest(self, text: str) -> tuple[float, int]:
        """(ROUGE-L, number) of the text that is most like this one, if it reaches `below`; (0.0, -1) otherwise."""
        words = tokens(text)
        met = {number for head in self._heads(words) for number in self._by_head[head]}
        scored = [(rouge_l(words, self._texts[number]), -number) for number in met]
        best, number = max(scored, default=(0.0, 1))
        return (best, -number) if best >= self._below else (0.0, -1)

    def add(self, text: str) -> int:
        """Put a text in, whatever it is like; its number."""
        words = tokens(text)
        number = len(self._texts)
        self._texts.append(words)
        for head in self._heads(words):
            self._by_head[head].append(number)
        return number

    def _heads(self, words: list[str]) -> Iterable[tuple[str, int]]:
        """The words that one of must be shared; the second `the` of a text is another word than its first."""
        seen = Counter[str]()
        counted = []
        for word in words:
            counted.append((word, seen[word]))
            seen[word] += 1
        counted.sort(key=lambda item: (-len(item[0]), item))
        shared = math.ceil(self._below * len(words) / (2 - self._below) - 1e-9)
        return counted[: len(words) - shared + 1]
