"""The Chinese parser: words and classes from jieba, the tree from UDPipe with udchinese's model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.data.chinese import tokenizer
from tunesmith.data.extract._text import Sentence, Token
from tunesmith.models.fetch import Asset, cache_folder, fetch_asset

MODEL = Asset(
    name="the Chinese parser",
    package="udchinese",
    version="0.6.1",
    member="udchinese/ud-chinese.udpipe",
    sha256="e5886ab2f39e82ad0ca7b0c71459dab3b90020d87fb3f98906a5564c638cd224",
    archive_sha256="ca80aefe3e8e7e8734438d19cf6ff0edd809657271d38da8d499afed7f5a7c18",
    licence="MIT",
    form="wheel",
    bytes=28_406_441,
)
"""UDPipe's parser for Chinese, by K. Yasuoka; the package is no dependency, because it would bring others to build."""

_INSTALL = "pip install 'tunesmith[extract]'"
_CLASSES = {
    "n": "NOUN",
    "v": "VERB",
    "a": "ADJ",
    "d": "ADV",
    "p": "ADP",
    "c": "CCONJ",
    "u": "PART",
    "m": "NUM",
    "q": "CLF",
    "r": "PRON",
    "f": "LOC",
    "s": "LOC",
    "t": "TIME",
    "x": "PUNCT",
    "w": "PUNCT",
    "b": "ADJ",
    "z": "ADJ",
    "y": "PART",
    "e": "INTJ",
    "o": "INTJ",
}
"""First letter of jieba's class -> class of the token table; others (idioms, letters, unknown) are nouns."""


@cache
def parser() -> Callable[[str], list[Sentence]]:
    """The function that cuts and parses one sentence; loaded once a process.

    Classes are the universal parts of speech and `CLF` (measure word), `LOC` (上, 中), `TIME`, `VN` (a verb used as a
    noun); a lemma is the word itself.

    Raises:
        MissingLibrary: UDPipe is not installed.
        UserError: the model cannot be brought, see `fetch_asset`.
    """
    cut, tree = _cutter(), _tree()

    def parse(sentence: str) -> list[Sentence]:
        words = [(pair.word, pair.flag) for pair in cut(sentence)]
        kept = [(word, flag, i) for i, (word, flag) in enumerate(words) if word.strip()]
        heads = tree([word for word, _, _ in kept])
        tokens = [
            Token(word, word, _class(flag, word), dep, head, i + 1 < len(words) and not words[i + 1][0].strip())
            for (word, flag, i), (head, dep) in zip(kept, heads, strict=True)
        ]
        return [Sentence(tuple(tokens))]

    return parse


def _class(flag: str, word: str) -> str:
    if flag == "vn":
        return "VN"
    if word.isnumeric() or word[:1].isdigit():
        return "NUM"
    return _CLASSES.get(flag[:1], "NOUN")


def _cutter() -> Callable[[str], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions are written in an old way
        from jieba.posseg import POSTokenizer
    return POSTokenizer(tokenizer()).lcut  # type: ignore[no-any-return]


def _tree() -> Callable[[list[str]], list[tuple[int, str]]]:
    """The function that gives head (index; its own for the root) and label of every word."""
    try:
        from ufal import udpipe
    except ImportError:
        raise MissingLibrary(_needs("ufal.udpipe")) from None
    model = udpipe.Model.load(str(fetch_asset(MODEL, cache_folder())))

    def heads(words: list[str]) -> list[tuple[int, str]]:
        sentence = udpipe.Sentence()
        for word in words:
            sentence.addWord(word)
        model.tag(sentence, model.DEFAULT)
        model.parse(sentence, model.DEFAULT)
        return [(i if w.head == 0 else w.head - 1, w.deprel) for i, w in enumerate(list(sentence.words)[1:])]

    return heads


def _needs(library: str) -> Problem:
    message = f"Chinese is parsed with the library '{library}', which is not installed"
    return Problem("needs-library", message, _INSTALL, value=library)
