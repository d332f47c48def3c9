"""Answers that are wrong but could be meant: another label, another row's answer, another number."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.core.types import Example
from tunesmith.data.augment._context import terms
from tunesmith.data.augment._wording import asked as last_question
from tunesmith.data.chinese import HAN
from tunesmith.data.meaning import overlap

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
_LISTED = re.compile(r"(?m)^[ \t]*\d+[.)、](?!\d)")
_TRIES = 30
_SAME = 0.5
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


@dataclass(frozen=True)
class _Candidate:
    """A row's answer, with what says whether it could stand elsewhere."""

    group: str
    topic: frozenset[str]
    form: str
    answer: str

    @staticmethod
    def of(row: Example) -> _Candidate:
        """What is to be known of a row."""
        asked = "\n".join(turn.content[-400:] for turn in row.messages if turn.role == "user").rstrip()
        sentence = asked[slice(*last_question(asked))]
        form = sentence[-4:] if HAN.search(sentence) else sentence.partition(" ")[0].casefold()
        return _Candidate(row.group or row.id, frozenset(terms(asked)), form, row.reference)


@dataclass
class Pool:
    """Answers of rows to draw wrong ones from: those of the first 5,000 rows that have one."""

    _rows: list[_Candidate] = field(default_factory=list)
    _by_term: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: Example) -> None:
        """One more."""
        if len(self._rows) < _POOL and row.reference.strip():
            candidate = _Candidate.of(row)
            for term in candidate.topic:
                self._by_term[term].append(len(self._rows))
            self._rows.append(candidate)

    def other_answer(self, row: Example, dice: random.Random) -> str:
        """An answer to another question of nearly the same topic; empty where none fits.

        At most 60 are tried, half of them of questions that share a word. It is of another group and of half to double
        the length; one that shares half of its character pairs with the right one could be right too, and so could one
        to nearly the same question. Of the rest the one whose question is most alike in words and form.
        """
        own = _Candidate.of(row)
        near = sorted({i for term in own.topic for i in self._by_term.get(term, ())})
        tried = [
            *dice.sample(near, min(_TRIES, len(near))),
            *dice.sample(range(len(self._rows)), min(_TRIES, len(self._rows))),
        ]
        fitting = sorted(
            (o for i in tried if _fits(o := self._rows[i], own)), key=lambda o: _alike(o, own), reverse=True
        )
        wrong = (other.answer for other in fitting if overlap(own.answer, other.answer) < _SAME)
        return next(wrong, "")


def _fits(other: _Candidate, own: _Candidate) -> bool:
    common, all_words = len(own.topic & other.topic), len(own.topic | other.topic)
    same_language = bool(HAN.search(other.answer)) == bool(HAN.search(own.answer))
    long_enough = 0.5 <= (1 + len(other.answer)) / (1 + len(own.answer)) <= 2
    return other.group != own.group and same_language and long_enough and not 2 * common > all_words > 0


def _alike(other: _Candidate, own: _Candidate) -> tuple[int, int]:
    return len(own.topic & other.topic) + (other.form == own.form), -abs(len(other.answer) - len(own.answer))


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
