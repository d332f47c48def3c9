"""Triples by grammar: who does what to whom, as the parse of each sentence tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.types import Triple
from tunesmith.data.extract import _chinese, _english
from tunesmith.data.extract._text import Claim, Sentence, read_by

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_RULES: dict[str, Callable[[Sentence], list[Claim]]] = {"en": _english.claims, "zh": _chinese.claims}


@dataclass(frozen=True)
class Dependency:
    """Subject, relation, object by the grammar of every sentence, with negation and doubt noticed.

    English is parsed by spaCy, Chinese by jieba and UDPipe (extra `extract`; the Chinese model, 28 MB, is brought on
    first use). Sentences in the other language are passed over. How right it is stands in docs/knowledge.md.

    Args:
        language: `en` or `zh`.
    """

    language: Literal["en", "zh"] = "en"

    def open(self, root: Path) -> Callable[[str], list[Triple]]:
        """See `tunesmith.core.protocols.Extractor`; nothing of the project folder is read."""
        parse, rules = _parser(self.language), _RULES[self.language]

        def claims(sentence: str) -> list[Claim]:
            if is_chinese(sentence) != (self.language == "zh"):
                return []
            return [claim for part in parse(sentence) for claim in rules(part)]

        return read_by(claims, language=self.language, extractor="dependency")


def is_chinese(sentence: str) -> bool:
    """Whether at least a quarter of the letters are Chinese characters, each of which says more than a Latin letter."""
    letters = sum(character.isalpha() for character in sentence)
    return letters > 0 and len(_HAN.findall(sentence)) >= letters / 4


def _parser(language: str) -> Callable[[str], list[Sentence]]:
    if language == "en":
        from tunesmith.data.extract import _spacy

        return _spacy.parser()
    from tunesmith.data.extract import _udpipe

    return _udpipe.parser()
