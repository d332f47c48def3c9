"""The gold statements, and how far an extractor agrees with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.types import Triple
from tunesmith.data.knowledge.normal import phrase_key, relation_key

FOLDER = Path(__file__).parent / "gold"
Key = tuple[str, str, str, bool]


@dataclass(frozen=True)
class Gold:
    """One annotated sentence; `half` is `dev` (rules were made with it) or `held`."""

    id: str
    text: str
    triples: tuple[Key, ...]
    hedged: frozenset[Key]

    @property
    def language(self) -> str:
        return self.id.split("-")[0]

    @property
    def domain(self) -> str:
        return self.id.split("-")[1]

    @property
    def half(self) -> str:
        return "dev" if int(self.id.split("-")[2]) % 2 else "held"


@dataclass(frozen=True)
class Agreement:
    """Counts of found, wanted and right triples."""

    found: int
    wanted: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.found + self.wanted) if self.found + self.wanted else 1.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.found + other.found, self.wanted + other.wanted, self.right + other.right)


def load(language: str) -> list[Gold]:
    """The sentences of one language."""
    lines = (FOLDER / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_gold(json.loads(line)) for line in lines]


def _gold(row: dict[str, object]) -> Gold:
    triples: list[Key] = []
    hedged: set[Key] = set()
    rows = row["triples"]
    assert isinstance(rows, list)
    for subject, relation, thing, *flags in rows:
        key = (phrase_key(subject), relation_key(relation), phrase_key(thing), "not" in flags)
        triples.append(key)
        hedged |= {key} if "maybe" in flags else set()
    return Gold(str(row["id"]), str(row["text"]), tuple(triples), frozenset(hedged))


def key(triple: Triple) -> Key:
    """What of a triple is compared."""
    return triple.subject_key, triple.relation_key, triple.object_key, triple.negated


def exact(found: Iterable[Key], wanted: Iterable[Key]) -> Agreement:
    """Right is a triple whose three normalised parts and negation are those of a gold triple."""
    left, right = list(wanted), 0
    taken = list(found)
    for one in taken:
        if one in left:
            left.remove(one)
            right += 1
    return Agreement(len(taken), right + len(left), right)


def relaxed(found: Iterable[Key], wanted: Iterable[Key]) -> Agreement:
    """Right is a triple with the same negation, each part of which shares at least half of its words with gold's.

    Shared words (Chinese: characters) are counted by F1 of the two sets of words. Each gold triple is given to at most
    one found triple, best pairs first.
    """
    taken, left = list(found), list(wanted)
    pairs = sorted(
        ((min(_overlap(a, b) for a, b in zip(one[:3], other[:3], strict=True)), i, j)
         for i, one in enumerate(taken) for j, other in enumerate(left) if one[3] == other[3]),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )  # fmt: skip
    used_found: set[int] = set()
    used_gold: set[int] = set()
    for share, i, j in pairs:
        if share >= 0.5 and i not in used_found and j not in used_gold:
            used_found.add(i)
            used_gold.add(j)
    return Agreement(len(taken), len(left), len(used_found))


def _overlap(one: str, other: str) -> float:
    a, b = set(_words(one)), set(_words(other))
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def _words(text: str) -> list[str]:
    return [part for word in text.split() for part in ([word] if word.isascii() else list(word))]


def agreement(
    read: Callable[[str], list[Triple]],
    golds: Iterable[Gold],
    compare: Callable[[Iterable[Key], Iterable[Key]], Agreement],
) -> Agreement:
    """All sentences together (micro average)."""
    total = Agreement(0, 0, 0)
    for gold in golds:
        total += compare([key(triple) for triple in read(gold.text)], gold.triples)
    return total
