"""The words of a text, and its runs of eight words, as hashes: what finds reworded and contained questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.chinese import HAN, cut
from tunesmith.data.grams import Hashes, blocks_of
from tunesmith.data.texts import hash_of

RUN = 8
"""Words in a run; of Chinese, characters."""
_STEM = 6
_PIECES = re.compile(f"{HAN.pattern}+|[^{HAN.pattern[1:-1]}]+")
_MOST_KNOWN = 1 << 18

Block = tuple[Hashes, NDArray[np.int32]]


def words_of(texts: Sequence[str]) -> Block:
    """The distinct words of normalised texts, a block of `grams.Grams`.

    English words count by their first six letters, a plain stem: `treated` and `treating` are one. Chinese is cut by
    the dictionary, and its characters count beside its words: of a name that was cut in two something is left. The
    last bit of a hash tells whether the word is a number.
    """
    return blocks_of(texts, lambda text: list(words(text)), _MARKED.of, 1)


def runs_of(texts: Sequence[str]) -> Block:
    """The distinct runs of eight words (of Chinese: characters) of normalised texts, a block of `grams.Grams`."""
    return blocks_of(texts, _tokens, _HASHED.of, RUN)


def words(text: str) -> Iterator[str]:
    """The words of a normalised text, in order, as they are counted."""
    for part in _parts(text):
        if HAN.match(part):
            yield from part
            yield from (word for word in cut(part) if len(word) > 1)
        else:
            yield part if part[0].isdigit() else part[:_STEM]


def _parts(text: str) -> Iterator[str]:
    """Its words, a stretch of Chinese being one."""
    for word in text.split():
        if word.isascii():
            yield word
        else:
            yield from _PIECES.findall(word)


def _tokens(text: str) -> list[str]:
    """Its words; of Chinese, its characters."""
    tokens: list[str] = []
    for part in _parts(text):
        tokens.extend(part if HAN.match(part) else (part,))
    return tokens


class _Known(dict[str, int]):
    """Word -> its number, worked out when it is first met; forgotten when there are many."""

    def __init__(self, number: Callable[[str], int]) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, word: str) -> int:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[word] = number = self._number(word)
        return number

    def of(self, texts: list[list[str]]) -> Hashes:
        """The numbers of all words of some texts."""
        count = sum(map(len, texts))
        return np.fromiter(map(self.__getitem__, chain.from_iterable(texts)), dtype=np.uint64, count=count)


_HASHED = _Known(hash_of)
_MARKED = _Known(lambda word: hash_of(word) >> 1 << 1 | word[0].isdigit())
