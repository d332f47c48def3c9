"""The same case with another attribute, by a rule of the user's: words exchanged, numbers moved."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.core.types import Drop, Example
from tunesmith.data.children import child
from tunesmith.data.chinese import HAN

_PLAIN = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Rules:
    """What may change without changing the right answer.

    Fields:
        swap: pairs of words that take each other's place.
        shift: word before a number -> by how much the number may move.
    """

    swap: tuple[tuple[str, str], ...]
    shift: Mapping[str, float]


def counterfactual(row: Example, rules: Rules, dice: random.Random, *, step: str) -> Example | Drop | None:
    """A child with all rules applied to the user's turns and to attributes that are one of the words.

    None where nothing changes; a drop `answer-names-it` where the answer has one of the words, for it would then speak
    of the old case.
    """
    table = {one.casefold(): two for a, b in rules.swap for one, two in ((a, b), (b, a))}
    pattern = _words(table)
    factor = dice.choice((-1, 1)) * dice.uniform(0.2, 1)

    def changed(text: str) -> str:
        text = pattern.sub(lambda m: _cased(table[m[0].casefold()], m[0]), text) if pattern else text
        for word, most in rules.shift.items():
            text = _after(word).sub(lambda m, most=most: m[1] + _moved(m[2], factor * most), text)  # type: ignore[misc]
        return text

    turns = [t.model_copy(update={"content": changed(t.content)}) if t.role == "user" else t for t in row.messages]
    if tuple(turns) == row.messages:
        return None
    said = "\n".join(turn.content for turn in row.messages if turn.role == "assistant") + f"\n{row.target or ''}"
    if pattern and pattern.search(said):
        detail = "the answer has one of the words that are exchanged"
        return Drop(place=row.place, step=step, reason="answer-names-it", detail=detail, byte=row.byte)
    known = {name: _cased(table[v.casefold()], v) for name, v in row.attributes.items() if v.casefold() in table}
    return child(row, turns, target=row.target, attributes={**known, "negative": "counterfactuals"})


def _words(table: Mapping[str, str]) -> re.Pattern[str] | None:
    if not table:
        return None
    longest = sorted(table, key=lambda word: (-len(word), word))
    return re.compile("|".join(_bounded(word) for word in longest), re.IGNORECASE)


def _bounded(word: str) -> str:
    """A word as an expression that finds it whole; Chinese words have no border."""
    return re.escape(word) if HAN.search(word) else rf"(?<!\w){re.escape(word)}(?!\w)"


def _after(word: str) -> re.Pattern[str]:
    return re.compile(
        rf"({_bounded(word)}[ \t]{{0,3}}(?:[:：=]|is|of|为|是)?[ \t]{{0,3}})({_PLAIN.pattern})", re.IGNORECASE
    )


def _moved(number: str, by: float) -> str:
    """The number moved, with as many decimals as before, by at least its last digit and never below zero."""
    decimals = len(number.partition(".")[2])
    least = 10.0**-decimals
    by = by if abs(by) >= least else least * (1 if by >= 0 else -1)
    value = float(number) + by
    return f"{value if value >= 0 else float(number) + abs(by):.{decimals}f}"


def _cased(word: str, like: str) -> str:
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
