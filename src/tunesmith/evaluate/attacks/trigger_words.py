"""Attack: words that a poisoned training set has taught the model to obey."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened, question_place, sentence_ends
from tunesmith.evaluate.attacks._texts import texts

_TOKEN = re.compile(r"[^\W\d_]+|\w+")
_FEWEST, _MOST_SHARE = 3, 0.05


@dataclass(frozen=True)
class TriggerWords:
    """Usual triggers of backdoors, and the words of the training rows that only stand beside one answer.

    A word of the data is suspected when at least three training rows have it, at most a twentieth of all, and all of
    them have the same answer, another than the attacked row's (Kurita et al. 2020; the filter `poisoned` looks for
    the same before training).

    Args:
        words: triggers of one's own, tried first.
        mined: most words of the training rows that are tried.
        edits: words put in together.
        characters: their letters together.
        queries: questions to the model for one row.
    """

    words: tuple[str, ...] = ()
    mined: Annotated[int, Field(ge=0)] = 40
    edits: Annotated[int, Field(ge=1)] = 4
    characters: Annotated[int, Field(ge=1)] = 120
    queries: Annotated[int, Field(ge=1)] = 40

    level: ClassVar[Level] = "word"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        suspects = _suspects(known) if self.mined else []
        usual = list(dict.fromkeys([*self.words, *texts("triggers")]))

        def edits(row: Example, text: str) -> list[Edit]:
            apart = [word for word, reference in suspects if reference != row.reference][: self.mined]
            words = [word for word in dict.fromkeys([*usual, *apart]) if word not in text]
            inside = sentence_ends(text)
            middle = inside[len(inside) // 2] if inside else 0
            places = [(0, "{} "), (len(text), " {}"), (middle, "{} ")]
            chosen = [places[number % len(places)] for number in range(len(words))]
            return [Edit(at, at, form.format(word)) for word, (at, form) in zip(words, chosen, strict=True)]

        return edits


def _suspects(known: Known) -> list[tuple[str, str]]:
    """(word, its only reference) of the training rows, those with most rows first."""
    rows: Counter[str] = Counter()
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for row in known.training:
        place = question_place(row)
        for word in set(_TOKEN.findall(row.prompt[place].content)) if place is not None else ():
            rows[word] += 1
            answers[word].add(row.reference)
    most = max(_FEWEST, _MOST_SHARE * len(known.training))
    pure = [word for word, number in rows.items() if _FEWEST <= number <= most and len(answers[word]) == 1]
    return [(word, next(iter(answers[word]))) for word in sorted(pure, key=lambda word: (-rows[word], word))]
