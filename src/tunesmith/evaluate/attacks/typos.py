"""Attack: slips of the keyboard."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened
from tunesmith.evaluate.attacks._guard import free_words

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True)
class Typos:
    """Letters swapped, lost, doubled or mistaken for the key beside them; a word gets one slip at most.

    The first letter stays, and so do numbers, denials, words of the answer, and words whose slip would be another word
    of the training rows. Chinese characters are doubled only: another order is often another word.

    Args:
        edits: slips made together.
        characters: letters changed together.
        queries: questions to the model for one row.
    """

    edits: Annotated[int, Field(ge=1)] = 4
    characters: Annotated[int, Field(ge=1)] = 64
    queries: Annotated[int, Field(ge=1)] = 48

    level: ClassVar[Level] = "character"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""

        def edits(row: Example, text: str) -> list[Edit]:
            found = []
            for start, end in free_words(text, row, known):
                word = text[start:end]
                dice = random.Random(f"{word} {start}")
                for slip in dict.fromkeys(_slips(word, dice)):
                    if slip != word and slip.casefold() not in known.vocabulary:
                        found.append(Edit(start, end, slip))
            return found

        return edits


def _slips(word: str, dice: random.Random) -> list[str]:
    """The word with a swap, a loss, a double and a neighbouring key, each behind its first letter."""
    if not word.isascii():
        at = dice.randrange(len(word))
        return [word[:at] + word[at] + word[at:]]
    places = [dice.randrange(1, len(word)) for _ in range(3)]
    swap = dice.randrange(1, len(word) - 1)
    return [
        word[:swap] + word[swap + 1] + word[swap] + word[swap + 2 :],
        word[: places[0]] + word[places[0] + 1 :],
        word[: places[1]] + word[places[1]] + word[places[1] :],
        word[: places[2]] + _beside(word[places[2]], dice) + word[places[2] + 1 :],
    ]


def _beside(letter: str, dice: random.Random) -> str:
    """A key left or right of the letter's, in its case."""
    for row in _KEYS:
        at = row.find(letter.lower())
        if at >= 0:
            key = dice.choice(row[max(0, at - 1) : at] + row[at + 1 : at + 2])
            return key.upper() if letter.isupper() else key
    return letter
