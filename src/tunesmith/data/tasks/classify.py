"""Which task a row is: by rules on question and answer, else by the nearest definition, else unknown.

The rules are cues of the catalogue. A type scores 3 for a cue in the question, 1 more where the cue begins within
the first 60 characters (what is asked for is mostly said first), 3 for what the question must carry, 2 for a cue in the
answer, 1 where the answer has the type's form and -1 where it has not, and the type's weight. The best type wins; of
equal ones that whose cue stands first, then that whose cue is longer ("explain why" says more than "explain").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.types import Example
from tunesmith.data.tasks.catalogue import UNKNOWN, Language, TaskType, task_types
from tunesmith.data.tasks.looks import Looks, looks_of

By = Literal["rules", "nearest", "none"]

_CUE, _EARLY, _GIVEN, _ANSWER, _FORM = 3, 1, 3, 2, 1
_EARLY_CHARACTERS = 60
_LEAST_SCORE = 2
_SURE = 6
_TIE = 0.7
_NOWHERE = 10_000
_AT_ONCE = 256
_CAPITAL = re.compile(r"\\.|[A-Z]")


class Embedder(Protocol):
    """Texts as vectors of length 1, see `tunesmith.models.embed`."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape [N, D]."""
        ...


@dataclass(frozen=True)
class Tag:
    """The task of one row.

    Fields:
        task: id in the catalogue, or `unknown`.
        confidence: in [0, 1]; orders tags, it is not a calibrated probability. 0 for `unknown`.
        by: what told it.
    """

    task: str
    confidence: float
    by: By


NO_TAG = Tag(UNKNOWN, 0.0, "none")


def by_rules(looks: Looks) -> Tag:
    """The type that scores best, if it scores at least 2; `unknown` otherwise."""
    scored = sorted(
        (-met.score, met.place, -met.length, number)
        for number, met in enumerate(_scores(looks))
        if met.score >= _LEAST_SCORE
    )
    if not scored:
        return NO_TAG
    best = -scored[0][0]
    tied = len(scored) > 1 and -scored[1][0] == best
    confidence = min(best, _SURE) / (_SURE + 1) * (_TIE if tied else 1.0)
    return Tag(task_types()[scored[0][3]].id, round(confidence, 3), "rules")


class Classifier:
    """Tags rows.

    Args:
        embedder: for rows that no rule knows; None: they are `unknown`.
        languages: languages that the embedder was trained on; rows in others are not asked of it.
        at_least: cosine with the nearest definition below which a row is `unknown`.
    """

    def __init__(
        self, embedder: Embedder | None = None, *, languages: Sequence[Language] = ("en",), at_least: float = 0.35
    ) -> None:
        self._embedder, self._languages, self._at_least = embedder, frozenset(languages), at_least
        self._known: dict[Language, NDArray[np.float32]] = {}

    def tag(self, rows: Iterable[Example]) -> Iterator[Tag | None]:
        """One tag per row, in order; None for plain text, which is no task."""
        rest = iter(rows)
        while some := list(islice(rest, _AT_ONCE)):
            looks = [looks_of(row) for row in some]
            tags = [None if look is None else by_rules(look) for look in looks]
            yield from self._completed(looks, tags)

    def _completed(self, looks: Sequence[Looks | None], tags: list[Tag | None]) -> list[Tag | None]:
        open_ones = [
            (at, look)
            for at, (look, tag) in enumerate(zip(looks, tags, strict=True))
            if tag is NO_TAG and look is not None and look.language in self._languages
        ]
        if self._embedder is None or not open_ones:
            return tags
        asked = self._embedder.encode([look.asked for _, look in open_ones])
        for (at, look), vector in zip(open_ones, asked, strict=True):
            cosines = self._definitions(look.language, self._embedder.encode) @ vector
            best = int(cosines.argmax())
            if cosines[best] >= self._at_least:
                tags[at] = Tag(_askable()[best].id, round(float(cosines[best]) / 2, 3), "nearest")
        return tags

    def _definitions(
        self, language: Language, encode: Callable[[Sequence[str]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        if language not in self._known:
            self._known[language] = encode([f"{task.about[language]}. {task.example[0]}" for task in _askable()])
        return self._known[language]


@dataclass(frozen=True, slots=True)
class _Met:
    """How well a type fits: its score, where its cue begins, how long that is."""

    score: int = 0
    place: int = _NOWHERE
    length: int = 0


def _scores(looks: Looks) -> Iterator[_Met]:
    """How well every type fits, in the order of the catalogue."""
    asked, answer = looks.asked.lower(), looks.answer.lower()
    for task, (cue, answer_cue) in zip(task_types(), _compiled(looks.language), strict=True):
        fits = looks.given.issuperset(task.given)
        met = cue.search(asked) if cue and fits else None
        said = answer_cue.search(answer) if answer_cue and fits else None
        if not (met or said or (task.given and fits)):
            yield _Met()
            continue
        place, end = met.span() if met else (_NOWHERE, _NOWHERE)
        score = _CUE * bool(met) + _EARLY * (place < _EARLY_CHARACTERS) + _GIVEN * bool(task.given)
        score += _ANSWER * bool(said) + task.weight
        if task.form:
            score += _FORM if looks.forms & set(task.form) else -_FORM
        yield _Met(score, place, end - place)


@cache
def _compiled(language: Language) -> list[tuple[re.Pattern[str] | None, re.Pattern[str] | None]]:
    border = r"(?<![\w-])" if language == "en" else ""
    return [
        (_pattern(task.cues.get(language), border), _pattern(task.answer_cues.get(language), border))
        for task in task_types()
    ]


def _pattern(text: str | None, border: str) -> re.Pattern[str] | None:
    if not text:
        return None
    small = _CAPITAL.sub(lambda found: found[0] if found[0][0] == "\\" else found[0].lower(), text)
    return re.compile(f"{border}(?:{small})", re.DOTALL)  # on small letters: twice as quick as IGNORECASE


@cache
def _askable() -> tuple[TaskType, ...]:
    """The types that a question alone can be: not those that need a table, an image, tools."""
    return tuple(task for task in task_types() if not task.given and task.cues)
