"""Chinese words, cut by the dictionary of jieba."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def han_share(text: str) -> float:
    """Share of Chinese characters among the letters of `text`; 0 where it has no letters."""
    letters = sum(map(str.isalpha, text))
    return len(HAN.findall(text)) / letters if letters else 0.0


def cut(text: str) -> list[str]:
    """The words of `text` in order, nothing left out; unknown words fall into single characters.

    The most probable cut by the dictionary's frequencies, without jieba's guess of unknown words (its hidden Markov
    model): the guess is ten times as slow and joins what a name detector must see apart.
    """
    return list(tokenizer().cut(text, HMM=False))


def frequency(word: str) -> int:
    """How often the dictionary has seen `word`; 0 for unknown ones."""
    return int(tokenizer().FREQ.get(word) or 0)


@cache
def persons() -> frozenset[str]:
    """Words that the dictionary marks as names of persons (tag `nr`): 40,000 historical, literary and foreign ones."""
    with tokenizer().get_dict_file() as file:
        entries = (line.decode("utf-8").split() for line in file)
        return frozenset(entry[0] for entry in entries if entry[-1] == "nr")


@cache
def classes() -> Mapping[str, str]:
    """Word -> class that the dictionary gives it (`n` noun, `v` verb, `a` adjective, `d` adverb, `nr` person, ...)."""
    with tokenizer().get_dict_file() as file:
        entries = (line.decode("utf-8").split() for line in file)
        return {entry[0]: entry[-1] for entry in entries}


@cache
def tokenizer() -> Any:
    """The tokenizer of jieba, its dictionary read as text.

    jieba itself would read a marshalled copy from the folder for temporary files, which anybody can write to.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba looks for pkg_resources, which warns that it is old
        import jieba
    made = jieba.Tokenizer()
    made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
    made.initialized = True
    return made
