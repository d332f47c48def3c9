"""Texts in sentences, and sentences as tables of tokens: all that the rules know of a parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from tunesmith.core.types import Evidence, Triple
from tunesmith.data.knowledge.normal import phrase_key, relation_key

_LONGEST = 1000
_ENDS = re.compile(r"[。！？!?]+[”’」』\"')）]*|[；;]|\.+[\"')]*(?=\s+[\"'(]?[A-Z0-9]|\s*$)|\n+")
_SHORTENED = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|Fig|Eq|vs|approx|ca|e\.g|i\.e|al|Inc|Ltd|Corp|Co|max|min)|\b[A-Z])\.$"
)
_ASIDE = re.compile(r"\s*[(（\[][^()（）\[\]]{0,200}[)）\]]")
_BROKEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a parsed sentence.

    Fields:
        text: as it stands there.
        lemma: its base form.
        pos: its universal part of speech (`NOUN`, `VERB`, `ADP`, ...).
        dep: how it depends on its head, in the parser's own labels; `root` for the word that heads the sentence.
        head: index of the word it depends on; its own index for the root.
        spaced: whether a space follows.
    """

    text: str
    lemma: str
    pos: str
    dep: str
    head: int
    spaced: bool = True


@dataclass(frozen=True)
class Sentence:
    """A parsed sentence: a table of tokens, read as a tree. Words are named by their index."""

    tokens: tuple[Token, ...]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The words that depend on each word, in order."""
        found: list[list[int]] = [[] for _ in self.tokens]
        for i, token in enumerate(self.tokens):
            if token.head != i:
                found[token.head].append(i)
        return tuple(tuple(below) for below in found)

    def below(self, word: int, *deps: str) -> list[int]:
        """The words that depend on `word` in one of these ways."""
        return [i for i in self.children[word] if self.tokens[i].dep in deps]

    def said(self, words: list[int]) -> str:
        """Words in order, with the spaces that stand between them."""
        parts = []
        for i in sorted(words):
            parts.append(self.tokens[i].text + (" " if self.tokens[i].spaced or i + 1 not in words else ""))
        return "".join(parts).strip()


@dataclass(frozen=True, slots=True)
class Claim:
    """What the rules find in one sentence: a triple without its place."""

    subject: str
    relation: str
    object: str
    confidence: float
    negated: bool = False
    hedged: bool = False


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every sentence, in order, of at most 1,000 characters: longer ones are cut, at a space if any.

    They end at `.` before a capital or a digit (but not after `Dr.`, `e.g.`, an initial), at ! ? ; and their Chinese
    forms, at 。 and at line ends.
    """
    start = 0
    for match in _ENDS.finditer(text):
        if match.group().startswith(".") and _SHORTENED.search(text, max(start, match.start() - 8), match.start() + 1):
            continue
        yield from _trimmed(text, start, match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST:
        cut = text.rfind(" ", start + 1, start + _LONGEST)
        cut = start + _LONGEST if cut < 0 else cut
        yield from _trimmed(text, start, cut)
        start = cut
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def plain(sentence: str) -> str:
    """A sentence as a parser takes it: without what stands in brackets, which parsers stumble over."""
    return _BROKEN.sub("\N{REPLACEMENT CHARACTER}", _ASIDE.sub("", sentence)).strip()


def read_by(claims: Callable[[str], list[Claim]], *, language: str, extractor: str) -> Callable[[str], list[Triple]]:
    """A reader of whole texts, made of a reader of single sentences; a claim made twice in a sentence counts once."""

    def read(text: str) -> list[Triple]:
        found: list[Triple] = []
        for start, end in sentences(text):
            evidence = Evidence(sentence=text[start:end], start=start, end=end)
            found += as_triples(claims(plain(evidence.sentence)), evidence, language=language, extractor=extractor)
        return found

    return read


def as_triples(claims: list[Claim], evidence: Evidence, *, language: str, extractor: str) -> list[Triple]:
    """Claims of one sentence as triples; of those with equal keys the most confident one, and none about itself."""
    best: dict[tuple[str, str, str, bool], Triple] = {}
    for claim in claims:
        keys = phrase_key(claim.subject), relation_key(claim.relation), phrase_key(claim.object)
        if not all(keys) or keys[0] == keys[2]:
            continue
        triple = Triple(
            subject=claim.subject,
            relation=claim.relation,
            object=claim.object,
            subject_key=keys[0],
            relation_key=keys[1],
            object_key=keys[2],
            language=language,
            confidence=round(claim.confidence, 3),
            negated=claim.negated,
            hedged=claim.hedged,
            extractor=extractor,
            evidence=evidence,
        )
        there = best.get((*keys, claim.negated))
        if there is None or there.confidence < triple.confidence:
            best[*keys, claim.negated] = triple
    return list(best.values())
