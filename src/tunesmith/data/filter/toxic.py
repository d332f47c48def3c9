"""Rows with slurs, threats and obscene insults, set aside for a person to look at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import said, words
from tunesmith.data.personal.shadow import shadow

_TOKEN = re.compile(r"[^\W_]+(?:[*@$!#'’]+[^\W_]*)*|[@$][^\W_]+")
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .*_-][^\W\d_]){2,20}(?![^\W_])")
_LEET = str.maketrans({"@": "a", "$": "s", "!": "i", "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t"})
_LONG = re.compile(r"(.)\1{2,}")

Tier = Literal["strong", "mild"]


@dataclass(frozen=True)
class Toxic:
    """Sets aside rows with slurs, threats or many obscene words (word lists in English and Chinese).

    A slur or a threat alone sets a row aside; of obscene and abusive words it takes at least two different ones, and
    `per_hundred` among a hundred words. Words are found in disguise (`f*ck`, `sh1t`, `f u c k`, fullwidth letters,
    letters repeated). Medical and anatomical words are on no list. A list knows words, not meaning: a quotation and a
    history of racism are set aside too, a cruelty in polite words is not. That is why a person looks, and nothing is
    thrown away.

    Args:
        per_hundred: abusive words among a hundred that set a row aside.
    """

    per_hundred: float = 1.0

    def judge(self, example: Example) -> Refusal | None:
        """`toxic`, with how many words of which strength; never the words."""
        for text in said(example):
            found = list(toxic_words(text))
            strong = sum(tier == "strong" for _, tier in found)
            mild = {word for word, tier in found if tier == "mild"}
            if strong or (len(mild) > 1 and len(found) * 100 >= self.per_hundred * max(1, len(words(text)))):
                detail = f"{strong} slurs or threats, {len(found) - strong} abusive words"
                return Refusal(reason="toxic", detail=detail, fate="aside")
        return None


def toxic_words(text: str) -> Iterator[tuple[str, Tier]]:
    """Listed words and phrases in `text` with their strength, in their plain spelling. Linear in the text."""
    lists = _lists()
    plain = shadow(text).text.lower()
    for match in lists.phrases.finditer(plain) if any(sign.search(plain) for sign in lists.signs) else ():
        yield match[0], "strong" if match.lastgroup == "strong" else "mild"
    spelled = (re.sub(r"[ .*_-]", "", match[0]) for match in _SPELLED.finditer(plain))
    for token in (*_TOKEN.findall(plain), *spelled):
        word = _known(token)
        if word:
            yield word, "strong" if word in lists.strong else "mild"


@dataclass(frozen=True)
class _Lists:
    """Single words by strength, and one expression of all phrases; one of the signs is found where a phrase is."""

    strong: frozenset[str]
    mild: frozenset[str]
    masked: dict[tuple[int, str], tuple[str, ...]]
    phrases: re.Pattern[str]
    signs: tuple[re.Pattern[str], ...]


@lru_cache(maxsize=1 << 14)
def _known(token: str) -> str:
    """The listed word that `token` is a spelling of; empty for none."""
    lists = _lists()
    plain = token.strip("'’!#*")
    if "*" in plain or "#" in plain:
        choices = lists.masked.get((len(plain), plain[0]), ())
        return next((word for word in choices if _fits(plain, word)), "")
    spellings = [plain] if plain.isalpha() else [plain, plain.translate(_LEET)] if not plain.isdigit() else []
    for spelling in spellings:
        for form in (spelling, _LONG.sub(r"\1", spelling), _LONG.sub(r"\1\1", spelling)):
            for word in (form, form.removesuffix("s"), form.removesuffix("'s")):
                if word in lists.strong or word in lists.mild:
                    return word
    return ""


def _fits(masked: str, word: str) -> bool:
    """Whether `masked` is `word` with some letters hidden, never all but the first and last of more than five."""
    return (
        all(m in {"*", "#", w} for m, w in zip(masked, word, strict=True)) and sum(m not in "*#" for m in masked) >= 2
    )


@cache
def _lists() -> _Lists:
    read = json.loads(files("tunesmith.data.filter").joinpath("_toxic.json").read_text(encoding="utf-8"))
    strong, mild = frozenset(read["strong"].split()), frozenset(read["mild"].split())
    masked: dict[tuple[int, str], tuple[str, ...]] = {}
    for word in sorted(strong | mild):
        masked[len(word), word[0]] = (*masked.get((len(word), word[0]), ()), word)
    phrases = re.compile(f"(?P<strong>{'|'.join(read['strong_phrases'])})|(?P<mild>{'|'.join(read['mild_phrases'])})")
    return _Lists(strong, mild, masked, phrases, _signs([*read["strong_phrases"], *read["mild_phrases"]]))


def _signs(phrases: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    r"""The same phrases, so that they are searched fast: those between word borders (`\b`) share one pair of these.

    With the borders inside each of them, every phrase would be tried at every character.
    """
    between = [phrase[2:-2] for phrase in phrases if phrase.startswith(r"\b") and phrase.endswith(r"\b")]
    others = [phrase for phrase in phrases if not (phrase.startswith(r"\b") and phrase.endswith(r"\b"))]
    bordered = [re.compile(rf"\b(?:{'|'.join(f'(?:{phrase})' for phrase in between)})\b")] if between else []
    return (*bordered, *([re.compile("|".join(others))] if others else []))
