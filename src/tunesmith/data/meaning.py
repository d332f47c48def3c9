"""Whether a new wording still asks the same thing and has the same answer.

Two questions, both asked of every reworded row. *The facts*: numbers, negations and the words that the question shares
with its answer or with the labels must all still be there, and the answer must be the parent's. *The meaning*: what
changed must be near to what stood there before: cosine of sentence embeddings, or, where no encoder knows the
language, the share of common character pairs, which sees how much was rewritten and not what it means.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example
from tunesmith.data.chinese import han_share
from tunesmith.data.extract._text import sentences
from tunesmith.data.similarity import normalised

REASON = "meaning-changed"
_BATCH = 64
_OVERLAP = 0.4
"""Dice share of character pairs below which a text that no encoder knows counts as another one."""
CHINESE = 0.3
"""Share of Chinese letters from which a text counts as Chinese."""
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_FIRST_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBER_WORDS = {
    **{word: str(value) for value, word in enumerate(_FIRST_NUMBERS.split(" "))},
    **{"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"},
    **{"hundred": "100", "thousand": "1000", "million": "1000000", "half": "1/2", "twice": "2x"},
}
"""English word -> the number that it says."""
_LOOSE = frozenset({"0", "1"})
"""`one` and `zero` come and go with idiom (`one of`, `a`), so they do not count as words; as digits they do."""
_NOT = re.compile(r"\b(?:not|no|never|none|neither|nor|without|cannot|nobody|nothing|unless)\b|n['’]t\b", re.IGNORECASE)
_NOT_ZH = re.compile("[不没無无未非勿莫否别]")
_NOT_A_DENIAL = re.compile(
    "是不是|是否|能否|可否|有无|有没有|要不要|会不会|能不能|可不可以|需不需要|需要不需要|不同|不仅|不但|不断|不管|无论|"
    "不论|非常|除非|别的|区别|分别|特别|性别|级别|个别|识别|鉴别|类别|差别|辨别"
)
_WORD = re.compile(r"[^\W\d_]{3,}")

Encode = Callable[[Sequence[str]], Any]
"""Texts -> unit vectors, shape [N, D]."""


@dataclass(frozen=True)
class Meaning:
    """How meaning is compared.

    Fields:
        alike: cosine that what changed must have with what stood there, where an encoder knows the language.
        encode: texts -> unit vectors; None: character pairs for every text.
        languages: what the encoder was trained on; empty: it is taken at its word for every text.
        labels: answers of a closed set; their words must stay in a question.
    """

    alike: float = 0.8
    encode: Encode | None = None
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def knows(self, text: str) -> bool:
        """Whether the encoder was trained on the language of `text`, as far as English and Chinese are told apart."""
        language = "zh" if han_share(text) >= CHINESE else "en"
        return self.encode is not None and (not self.languages or language in self.languages)


def open_meaning(encoder: str | None, alike: float, context: Context, *, labels: Sequence[str] = ()) -> Meaning:
    """A comparison by an encoder of the catalog or of a local folder, or, for None, by character pairs alone.

    Raises:
        UserError: there is no such encoder, or it cannot be brought.
    """
    if encoder is None:
        return Meaning(alike, labels=tuple(labels))
    from tunesmith.models.embed import open_embedder

    opened = open_embedder(encoder, root=context.root, events=context.events)
    return Meaning(alike, opened.encode, opened.languages, tuple(labels))


def held(pairs: Iterable[tuple[Example, Example]], meaning: Meaning, *, step: str) -> Iterator[Example | Drop]:
    """Each new row that means what its parent means, in order, and a drop `meaning-changed` for each other one.

    Args:
        pairs: (parent, new row). What was only added to a question is not judged; what was taken out or changed is.
        meaning: how to compare.
        step: name of the operation, for drops.
    """
    for batch in _batched(pairs):
        lost = [facts_lost(parent, new, meaning.labels) for parent, new in batch]
        asked = [_changed(_question(parent), _question(new)) for parent, new in batch]
        near = _likenesses([a for a, why in zip(asked, lost, strict=True) if not why], meaning)
        for (parent, new), why in zip(batch, lost, strict=True):
            told = why or next(near)
            yield Drop(place=parent.place, step=step, reason=REASON, detail=told, byte=parent.byte) if told else new


def facts_lost(parent: Example, new: Example, labels: Sequence[str] = ()) -> str:
    """What of the parent's facts the new row does not have, in words; empty where all are there.

    Numbers (as digits, small ones also in English words) and negations must stand in the questions equally often, so
    that none is lost and none invented; words that the parent's question shares with its answer or with a label must
    still be there; the answer must be the same.
    """
    if (new.reference, new.target) != (parent.reference, parent.target):
        return "the answer is another one"
    before, after = _question(parent), _question(new)
    if gone := numbers(before) - numbers(after):
        return f"numbers lost: {_listed(gone)}"
    if more := numbers(after) - numbers(before):
        return f"numbers that were not there: {_listed(more)}"
    if denials(before) != denials(after):
        return f"{denials(before)} denials before, {denials(after)} now"
    words = set(_WORD.findall(" ".join([parent.reference, *labels]).casefold()))
    missing = (words & set(_WORD.findall(before.casefold()))) - set(_WORD.findall(after.casefold()))
    return f"words of the answer lost: {_listed(Counter(missing))}" if missing else ""


def denials(text: str) -> int:
    """How many words deny something: `not`, `n't`, `without`, 不, 没, 无, ... but not those of `是否` or `不同`."""
    return len(_NOT.findall(text)) + len(_NOT_ZH.findall(_NOT_A_DENIAL.sub("", text)))


def overlap(before: str, after: str) -> float:
    """Dice share of common character pairs of the normalised texts, counted as often as they stand there; in [0, 1]."""
    one, two = (_pairs(normalised(text)) for text in (before, after))
    total = one.total() + two.total()
    return 2 * (one & two).total() / total if total else 1.0


def _likenesses(asked: Sequence[tuple[str, str]], meaning: Meaning) -> Iterator[str]:
    """For each (before, after): empty where they are alike enough, else the figure in words."""
    judged = [i for i, (before, after) in enumerate(asked) if before and meaning.knows(before)]
    cosines: dict[int, float] = {}
    if judged and meaning.encode is not None:
        vectors = meaning.encode([text for i in judged for text in asked[i]])
        cosines = {i: float(vectors[2 * k] @ vectors[2 * k + 1]) for k, i in enumerate(judged)}
    for i, (before, after) in enumerate(asked):
        if i in cosines:
            yield "" if cosines[i] >= meaning.alike else f"cosine {cosines[i]:.2f}, at least {meaning.alike:g}"
        else:
            share = overlap(before, after) if before else 1.0
            yield "" if share >= _OVERLAP else f"common character pairs {share:.2f}, at least {_OVERLAP:g}"


def _changed(before: str, after: str) -> tuple[str, str]:
    """The sentences that only one of two texts has; a long text does not hide a small change."""
    one, two = _said(before), _said(after)
    return " ".join((one - two).elements()), " ".join((two - one).elements())


def _said(text: str) -> Counter[str]:
    return Counter(text[start:end] for start, end in sentences(text))


def _question(example: Example) -> str:
    return "\n".join(m.content for m in example.messages if m.role == "user")


def numbers(text: str) -> Counter[str]:
    """The numbers of a text, as they are written, and small English number words as the digits they stand for."""
    digits = Counter(_NUMBER.findall(text))
    words = (NUMBER_WORDS.get(word) for word in re.findall(r"[a-z]+", text.casefold()))
    return digits + Counter(word for word in words if word is not None and word not in _LOOSE)


def _pairs(text: str) -> Counter[str]:
    return Counter(text[i : i + 2] for i in range(len(text) - 1)) or Counter([text] if text else [])


def _listed(found: Counter[str]) -> str:
    return shorten(", ".join(sorted(found.elements())), width=60)


def _batched(pairs: Iterable[tuple[Example, Example]]) -> Iterator[list[tuple[Example, Example]]]:
    source = iter(pairs)
    while batch := list(islice(source, _BATCH)):
        yield batch
