"""Answers that are wrong but could be meant: another label, another row's answer, another number."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.core.types import Example
from tunesmith.data.augment._context import terms
from tunesmith.data.chinese import HAN
from tunesmith.data.meaning import overlap
from tunesmith.data.similarity import normalised

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
_LISTED = re.compile(r"(?m)^[ \t]*\d+[.)、]")
_TRIES = 30
_POOL = 5000


def other_label(answer: str, right: str, labels: Sequence[str], dice: random.Random) -> str:
    """The answer with another label in the place of the right one; empty where it does not stand there just once."""
    others = [label for label in labels if label != right]
    if right not in labels or not others:
        return ""
    other = dice.choice(others)
    if answer.strip() == right:
        return other
    found = list(re.finditer(rf"(?<!\w){re.escape(right)}(?!\w)", answer))
    return answer[: found[0].start()] + other + answer[found[0].end() :] if len(found) == 1 else ""


def other_number(answer: str, dice: random.Random) -> str:
    """The answer with one number changed: a little, tenfold, a tenth or with two digits exchanged; empty for none.

    Numbers of a list (`1.` at the start of a line) stay. Decimals and thousands are written as before.
    """
    listed = {place for match in _LISTED.finditer(answer) for place in range(*match.span())}
    found = [match for match in _NUMBER.finditer(answer) if match.start() not in listed]
    if not found:
        return ""
    match = dice.choice(found)
    return answer[: match.start()] + _other(match[0], dice) + answer[match.end() :]


@dataclass
class Pool:
    """Answers of rows to draw wrong ones from: the first 5,000 that are long enough to be answers.

    Fields:
        rows: (group, words of the question, answer).
    """

    rows: list[tuple[str, frozenset[str], str]] = field(default_factory=list)

    def add(self, row: Example) -> None:
        """One more."""
        if len(self.rows) < _POOL and row.reference.strip():
            self.rows.append((row.group or row.id, _topic(row), row.reference))

    def other_answer(self, row: Example, dice: random.Random) -> str:
        """An answer to another question of nearly the same topic: of another group, similar length, other words.

        At most 30 are tried. Answers that share half of their character pairs with the right one could be right too,
        and so could those to nearly the same question; of the rest the one whose question has most words in common.
        """
        group, topic, right = row.group or row.id, _topic(row), row.reference
        best, most = "", -1
        for other_group, other_topic, answer in dice.sample(self.rows, min(_TRIES, len(self.rows))):
            common = len(topic & other_topic)
            same_question = 2 * common > len(topic | other_topic) > 0
            fits = 0.5 <= (1 + len(answer)) / (1 + len(right)) <= 2 and bool(HAN.search(answer)) == bool(
                HAN.search(right)
            )
            if other_group != group and fits and not same_question and common > most and overlap(right, answer) < 0.5:
                best, most = answer, common
        return best if normalised(best) != normalised(right) else ""


def _topic(row: Example) -> frozenset[str]:
    return frozenset(terms("\n".join(turn.content[-400:] for turn in row.messages if turn.role == "user")))


def _other(number: str, dice: random.Random) -> str:
    plain = number.replace(",", "")
    decimals = len(plain.partition(".")[2])
    value = float(plain)
    step = 10.0**-decimals
    options = [value + step, value - step, value + 2 * step, value * 10, value / 10]
    if len(plain) > 1 and plain[0] != plain[1] and plain[:2].isdigit() and plain[1] != "0":
        options.append(float(plain[1] + plain[0] + plain[2:]))
    written = {
        f"{option:,.{decimals}f}" if "," in number else f"{option:.{decimals}f}" for option in options if option > 0
    }
    return dice.choice(sorted(written - {number}) or [number + "0"])
