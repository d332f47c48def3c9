"""Which English words of a text could be another word: content words in the form and class that they stand in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from tunesmith.data.augment._swaps import Swap
from tunesmith.data.augment._wordnet import CLASSES, Forms, Thesaurus, forms, thesaurus
from tunesmith.data.extract._text import Sentence, sentences
from tunesmith.data.filter.toxic import toxic_words


def _words(text: str) -> list[str]:
    return text.split()


Parse = Callable[[str], Sequence[Sentence]]

_LEFT = frozenset(
    _words(
        "be have do make get take give go come put set keep let seem become say tell know think see look want need use "
        "work try can may will shall must should would could might one thing way lot kind sort time day year people "
        "man woman child patient case control group trial dose study drug symptom disease first second third fourth"
    )
)
"""Words that stay and that never come in: too common to have one meaning, numbers, or what a text is about."""
_VOWEL = re.compile(r"(?!(?:uni|use|usu|eu|one|once))[aeiou]|hour|honest|honou?r|heir", re.IGNORECASE)
_JOINED = frozenset("-/'’_")
_PARTS = frozenset({"prt", "compound"})


@cache
def parser() -> Parse:
    """The parser of spaCy, see `extract._spacy.parser`; MissingLibrary where it is not installed."""
    from tunesmith.data.extract import _spacy

    return _spacy.parser()


def swaps(text: str) -> list[Swap]:
    """Every word of `text` that has synonyms in its place, in order.

    Names (words that are tagged so, or begin with a capital inside a sentence), parts of compounds, of hyphenated words
    and of phrasal verbs, adjectives before their noun, and words with several meanings (`_wordnet.read_senses`) stay. A
    synonym stands in the same form; after `a` and `an` it begins with the same kind of sound.

    Raises:
        UserError: spaCy, its model, WordNet or the table of forms is missing.
    """
    return swaps_by(text, parser(), thesaurus(), forms())


def swaps_by(text: str, parse: Parse, words: Thesaurus, bent: Forms) -> list[Swap]:
    """`swaps` with a given parser and given tables."""
    found: list[Swap] = []
    for start, end in sentences(text):
        place = start
        for sentence in parse(text[start:end]):
            for number, token in enumerate(sentence.tokens):
                at = text.find(token.text, place, end)
                if at < 0:
                    break  # the parser wrote a word in another way
                place = at + len(token.text)
                if _may_change(text, sentence, number, at) and (others := _others(sentence, number, words, bent)):
                    found.append(Swap(at, place, others))
    return found


def _may_change(text: str, sentence: Sentence, number: int, at: int) -> bool:
    token = sentence.tokens[number]
    kind = CLASSES.get(token.pos)
    if kind is None or not token.text.isalpha() or not token.text.isascii() or token.lemma.lower() in _LEFT:
        return False
    around = text[at - 1 : at] + text[at + len(token.text) : at + len(token.text) + 1]
    if set(around) & _JOINED or not (token.text.islower() or (number == 0 and token.text[1:].islower())):
        return False
    below = {sentence.tokens[i].dep for i in sentence.children[number]}
    described = token.pos == "ADJ" and token.dep == "amod"  # `total anomalous drainage`, `mixed models`: often a term
    return not described and token.dep not in _PARTS and not (below & _PARTS)


def _others(sentence: Sentence, number: int, words: Thesaurus, bent: Forms) -> tuple[str, ...]:
    token = sentence.tokens[number]
    kind, form, word = CLASSES[token.pos], token.text.lower(), token.lemma.lower()
    before = sentence.tokens[number - 1].text.lower() if number else ""
    said = (bent.as_said(other, form, word, kind) for other in words.synonyms(word, kind))
    fit = [s for s in said if s and s not in (form, *_LEFT) and _same_end(s, form) and not any(toxic_words(s))]
    if before in ("a", "an"):
        fit = [s for s in fit if _same_sound(s, form)]
    return tuple(s.capitalize() if token.text[0].isupper() else s for s in fit)


def _same_end(one: str, two: str) -> bool:
    """Both words end in -ly, or neither; in -ing likewise: `slow` does not stand where `slowly` stands."""
    return all(one.endswith(end) == two.endswith(end) for end in ("ly", "ing"))


def _same_sound(one: str, two: str) -> bool:
    return bool(_VOWEL.match(one)) == bool(_VOWEL.match(two))
