"""A question that comes with the text it is about, taken apart; and what a text says nothing of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.data.augment._wording import asked
from tunesmith.data.chinese import HAN, classes, cut, han_share
from tunesmith.data.meaning import CHINESE

_LEAST, _LEAST_CHINESE = 200, 60
_LABEL = re.compile(r"[^\W\d][^:：\n.。?？]{0,40}[:：][ \t]*\Z")
_WORD = re.compile(r"[^\W\d_]{5,}")
_ASKS = re.compile(r"[?？](?=\s|$|[^\W\d_A-Za-z])")
_NOT_NOUNS = re.compile(r"(?:ed|ing|ly|ive|ous|ble|al|ic|ary|ant|ent|er|less|ful)$")
_NOT_TERMS = frozenset(
    [
        *(
            "about",
            "affect",
            "after",
            "among",
            "answer",
            "before",
            "being",
            "between",
            "cause",
            "change",
            "could",
            "does",
        ),
        *(
            "during",
            "effect",
            "following",
            "given",
            "greater",
            "improve",
            "increase",
            "influence",
            "patients",
            "people",
        ),
        *("play", "predict", "question", "really", "reduce", "related", "relationship", "result", "should", "study"),
        *(
            "their",
            "there",
            "these",
            "those",
            "treatment",
            "under",
            "using",
            "value",
            "what",
            "where",
            "whether",
            "which",
        ),
        *(
            "while",
            "with",
            "without",
            "would",
            "associated",
            "better",
            "different",
            "difference",
            "important",
            "possible",
        ),
    ]
)


@dataclass(frozen=True)
class Asked:
    """A turn of two parts: `before + context + between + question + after` is the turn.

    Fields:
        context: the text that is asked about.
        question: the sentence that asks, without the label before it.
        lead: where the context begins and ends in the turn; `place` the same of the question.
    """

    text: str
    lead: tuple[int, int]
    place: tuple[int, int]

    @property
    def context(self) -> str:
        """The text that is asked about."""
        return self.text[slice(*self.lead)]

    @property
    def question(self) -> str:
        """The sentence that asks."""
        return self.text[slice(*self.place)]

    def about(self, context: str) -> str:
        """The same turn with another text in the place of its own."""
        return self.text[: self.lead[0]] + context + self.text[self.lead[1] :]


def taken_apart(text: str) -> Asked | None:
    """The turn as a text and a question on it; None where it is not plainly both.

    The question is the first or the last sentence; the text is at least 200 characters long, 60 in Chinese.
    """
    start, end = asked(text)
    if text[end - 1 : end] not in ("?", "？"):
        return None
    label = _LABEL.search(text[:start])
    if not text[end:].strip():
        lead = _stripped(text, 0, label.start() if label else start)
    elif not text[: label.start() if label else start].strip():
        lead = _stripped(text, end, len(text))
    else:
        return None
    if _ASKS.search(text[slice(*lead)]):
        return None  # the text asks something itself, which the question may need
    least = _LEAST_CHINESE if han_share(text) >= CHINESE else _LEAST
    return Asked(text, lead, (start, end)) if lead[1] - lead[0] >= least else None


def terms(question: str) -> list[str]:
    """The words that a question is about, the longest first: long English words, Chinese nouns."""
    if HAN.search(question):
        known = classes()
        words = [w for w in cut(question) if len(w) > 1 and known.get(w, "")[:1] == "n"]
    else:
        words = [w.casefold() for w in _WORD.findall(question) if w.casefold() not in _NOT_TERMS]
    return sorted(dict.fromkeys(words), key=lambda word: (-len(word), word))


def things(question: str) -> list[str]:
    """The `terms` that can stand after `about`: Chinese ones, and English ones that do not end like other classes."""
    return [term for term in terms(question) if not _NOT_NOUNS.search(term)]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
