"""Noun phrases of a dependency tree: what belongs to a name, and what is a statement of its own."""

from __future__ import annotations

from tunesmith.data.extract._text import Sentence
from tunesmith.data.knowledge.normal import ARTICLES

_BEFORE = ("compound", "amod", "nummod", "nmod", "quantmod", "advmod", "npadvmod", "poss", "punct", "meta")
_DROPPED = ARTICLES | {"no", "some", "both", "either", "neither", "such", "whose"}


def is_name(sentence: Sentence, word: int) -> bool:
    """Whether a word can name a thing by itself: not a pronoun, not a relative word."""
    token = sentence.tokens[word]
    return token.lemma.lower() not in ("none", "nobody", "nothing") and token.pos not in (
        "PRON",
        "DET",
        "SCONJ",
        "PUNCT",
        "ADV",
        "CCONJ",
        "PART",
        "ADP",
    )


def phrase(sentence: Sentence, head: int, *, without: int | None = None, places: bool = True) -> str:
    """The phrase that `head` heads: what stands before it and its prepositional complements, without articles.

    Left out are relative clauses, participles, appositions after a comma, and what is coordinated with the head;
    coordination inside a complement stays.

    Args:
        sentence: the tree.
        head: index of the noun (or adjective).
        without: the owner that is left out (`patient` in `patient's mother`).
        places: whether prepositional complements belong to it.
    """
    words = [i for i in _words(sentence, head, without, places) if _kept(sentence, i)]
    while words and sentence.tokens[words[0]].pos == "PUNCT" and sentence.tokens[words[0]].text not in "$€£¥#":
        words.pop(0)
    while words and words[-1] != head and sentence.tokens[words[-1]].pos in ("PUNCT", "CCONJ"):
        words.pop()
    return sentence.said(words)


def _words(sentence: Sentence, head: int, without: int | None, places: bool) -> list[int]:
    found = {head}
    for child in sentence.children[head]:
        dep = sentence.tokens[child].dep
        if child == without:
            continue
        if dep in _BEFORE and not _is_aside(sentence, child, head):
            found |= _whole(sentence, child) if dep != "punct" else {child}
        elif dep in ("appos", "nummod", "npadvmod") and child == head + 1:
            found |= {child, *(i for i in _whole(sentence, child) if i == child + 1)}  # `code P0301`, `line 3`
        elif places and dep == "prep" and child > head:
            found |= _whole(sentence, child)
    return sorted(found)


def _is_aside(sentence: Sentence, child: int, head: int) -> bool:
    """Punctuation that does not join parts of a word, and adverbs after the noun (`only`)."""
    token = sentence.tokens[child]
    if token.dep == "punct":
        return token.text not in ("-", "–", "/", "'", "’", "$", "#") or child > head
    if token.dep in ("advmod", "npadvmod"):
        return child > head or sentence.tokens[head].pos not in ("ADJ", "NUM", "NOUN", "PROPN")
    return False


def _whole(sentence: Sentence, word: int) -> set[int]:
    """A word with everything below it but clauses and appositions."""
    found = {word}
    for child in sentence.children[word]:
        if sentence.tokens[child].dep not in ("relcl", "acl", "appos", "advcl"):
            found |= _whole(sentence, child)
    return found


def _kept(sentence: Sentence, word: int) -> bool:
    token = sentence.tokens[word]
    if token.dep in ("det", "poss", "predet", "preconj", "cc") and token.text.lower() in _DROPPED:
        return False
    return not (token.pos == "PRON" and token.dep == "poss")


def conjuncts(sentence: Sentence, word: int) -> list[int]:
    """Words joined to `word` by "and", "or" or commas, in order; a verb does not join a noun."""
    found = []
    for other in sentence.below(word, "conj"):
        if sentence.tokens[other].pos != "VERB" or sentence.tokens[word].pos == "VERB":
            found += [other, *conjuncts(sentence, other)]
    return found


def apposed(sentence: Sentence, noun: int) -> list[int]:
    """Nouns that say between commas what `noun` is."""
    found = []
    for other in sentence.below(noun, "appos"):
        comma = any(sentence.tokens[i].text in (",", "–", "—") for i in range(noun + 1, other))
        if comma and sentence.tokens[other].pos in ("NOUN", "PROPN") and is_name(sentence, noun):
            found.append(other)
    return found


def owners(sentence: Sentence, noun: int) -> list[int]:
    """What has `noun`: `patient` in `the patient's mother`, `customers` in `customers whose salary ...`."""
    found = []
    for owner in sentence.below(noun, "poss"):
        token = sentence.tokens[owner]
        if token.text.lower() == "whose":
            verb = sentence.tokens[noun].head
            found += [sentence.tokens[verb].head] if sentence.tokens[verb].dep == "relcl" else []
        elif token.pos in ("NOUN", "PROPN"):
            found.append(owner)
    return found
