"""The words of a text, and its runs of eight words, as hashes: what finds reworded and contained questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.chinese import HAN, cut
from tunesmith.data.grams import Hashes
from tunesmith.data.texts import hash_of

RUN = 8
"""Words in a run; of Chinese, characters."""
_STEM = 6
_PIECES = re.compile(f"{HAN.pattern}+|[^{HAN.pattern[1:-1]}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Block = tuple[Hashes, NDArray[np.int32]]


def words_of(texts: Sequence[str]) -> Block:
    """The distinct words of normalised texts, a block of `grams.Grams`.

    English words count by their first six letters, a plain stem: `treated` and `treating` are one. Chinese is cut by
    the dictionary, and its characters count beside its words: of a name that was cut in two something is left. The
    last bit of a hash tells whether the word is a number.
    """
    return _block(texts, lambda text: np.array([_marked(word) for word in words(text)], dtype=np.uint64))


def runs_of(texts: Sequence[str]) -> Block:
    """The distinct runs of eight words (of Chinese: characters) of normalised texts, a block of `grams.Grams`."""
    return _block(texts, _runs)


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


def _runs(text: str) -> Hashes:
    tokens = [token for part in _parts(text) for token in (part if HAN.match(part) else (part,))]
    said = np.array([_hash(token) for token in tokens], dtype=np.uint64)
    hashes = np.zeros(max(0, len(said) - RUN + 1), np.uint64)
    for offset in range(RUN):
        hashes = (hashes ^ said[offset : offset + len(hashes)]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return hashes


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return hash_of(word)


@lru_cache(maxsize=1 << 18)
def _marked(word: str) -> int:
    return hash_of(word) >> 1 << 1 | word[0].isdigit()


def _block(texts: Sequence[str], hashes: Callable[[str], Hashes]) -> Block:
    found = [np.unique(hashes(text)) for text in texts]
    return np.concatenate([*found, np.empty(0, np.uint64)]), np.array([len(one) for one in found], dtype=np.int32)
