"""Options in another order; where the answer names a letter, it names the letter that the option has now."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from tunesmith.core.types import Example
from tunesmith.data.augment._guard import OPTION
from tunesmith.data.children import child

_TOGETHER = re.compile(
    r"\b(?:all|none|both|neither|either|any)\b.{0,20}\b(?:above|below|these|of|options?)\b|以上|以下|上述|都是|都不",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\(?([A-J])(?:[.)）、:：]+[ \t]*(.*))?", re.DOTALL)
_ALONE = re.compile(r"(?<![\w'’])([B-J])(?![\w'’])|(?<![\w'’])(A)(?=[.,;:)）、：。，]|$)")


@dataclass(frozen=True)
class _Choice:
    """One option: where its text stands, and what it says."""

    letter: str
    start: int
    end: int
    text: str


def reordered(row: Example, dice: random.Random) -> Example | None:
    """A child whose last question has its options in another order; None where that cannot be done safely.

    The options must be the letters from A on, each once; none may speak of others (`all of the above`). The answer must
    be a letter, a letter with its option, or have no letter in it.
    """
    turn = max((i for i, m in enumerate(row.messages) if m.role == "user"), default=-1)
    choices = _choices(row.messages[turn].content) if turn >= 0 else []
    if len(choices) < 2 or row.rejected is not None or any(_TOGETHER.search(one.text) for one in choices):
        return None
    order = dice.sample(range(len(choices)), len(choices))
    moved = {choices[old].letter: choices[new].letter for new, old in enumerate(order)}
    if order == sorted(order):
        return None
    said = [(i, _moved(m.content, moved)) for i, m in enumerate(row.messages) if m.role == "assistant" and i > turn]
    target = None if row.target is None else _moved(row.target, moved)
    if any(text is None for _, text in said) or (row.target is not None and target is None):
        return None
    turns = list(row.messages)
    turns[turn] = turns[turn].model_copy(update={"content": _placed(turns[turn].content, choices, order)})
    for i, text in said:
        turns[i] = turns[i].model_copy(update={"content": text})
    return child(row, turns, target=target, attributes={"perturbed": "options"})


def _choices(text: str) -> list[_Choice]:
    found = [_Choice(m[1].upper(), *m.span(2), m[2]) for m in OPTION.finditer(text)]
    letters = "".join(one.letter for one in found)
    return found if letters == "ABCDEFGHIJ"[: len(letters)] else []


def _placed(text: str, choices: list[_Choice], order: list[int]) -> str:
    parts, end = [], 0
    for place, old in zip(choices, order, strict=True):
        parts += [text[end : place.start], choices[old].text]
        end = place.end
    return "".join([*parts, text[end:]])


def _moved(answer: str, moved: dict[str, str]) -> str | None:
    """The answer with its leading letter moved; None where a letter stands in it that nobody can be sure of."""
    named = _NAMED.fullmatch(answer.strip())
    rest = named[2] or "" if named else answer
    if any((m[1] or m[2]) in moved for m in _ALONE.finditer(rest)):
        return None
    if named is None:
        return answer
    letter = moved.get(named[1])
    at = answer.index(named[1])
    return None if letter is None else answer[:at] + letter + answer[at + 1 :]
