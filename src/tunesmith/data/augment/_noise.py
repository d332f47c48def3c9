"""Carelessness in writing: capitals, punctuation and spaces; and sentences that changed places."""

from __future__ import annotations

import random
import re

from tunesmith.data.augment._guard import Guard
from tunesmith.data.chinese import HAN
from tunesmith.data.extract._text import sentences

_ENGLISH = (
    (re.compile(r"[.?!](?=\s*$)"), ""),
    (re.compile(r"\?(?=\s*$)"), "??"),
    (re.compile(r"(?<=\w), (?=[a-z])"), ","),
    (re.compile(r"(?<=[a-z]) (?=[a-z])"), "  "),
)
_CHINESE = (
    (re.compile(r"[。？！](?=\s*$)"), ""),
    (re.compile("？"), "?"),
    (re.compile("，"), ","),
    (re.compile("，"), " "),
)
_OPENING = re.compile(r"(?<![^\n])[A-Z](?=[a-z])|(?<=[.?!] )[A-Z](?=[a-z])")
_LEANING = re.compile(
    r"(?:this|that|these|those|it|its|he|she|they|them|their|his|her|such|however|but|and|or|so|thus|therefore|hence|"
    r"moreover|furthermore|also|then|finally|in contrast|on the other hand|here|both|the former|the latter|instead|"
    r"another|other|first|second|third|next|after|before|overall|in conclusion|among)\b|"
    "[这那该此其它他她但而且并因所以故则另最随然后首先其次]",
    re.IGNORECASE,
)


def careless(text: str, dice: random.Random) -> str:
    """The text with one or two habits of careless writing; guarded stretches stay as they are."""
    chinese = bool(HAN.search(text))
    guard = Guard(text)
    habits = list(_CHINESE if chinese else _ENGLISH)
    if not chinese:
        habits.append((_OPENING, "small"))
    fitting = [(p, w) for p, w in habits if any(guard.free(*m.span()) for m in p.finditer(text))]
    for pattern, put in dice.sample(fitting, min(len(fitting), dice.choice((1, 2)))):
        now = Guard(text)
        few = put in ("  ", ",") and not chinese
        text = pattern.sub(lambda m: _put(m, put, now, dice.random() < (0.2 if few else 1)), text)  # noqa: B023
    return text


def moved(text: str, dice: random.Random) -> str:
    """The text with two neighbouring sentences of a line exchanged; as it is where none can be.

    Both, and the one after them, must be free and must not lean on what came before (`This`, `However`, 该).
    """
    guard, found = Guard(text), list(sentences(text))
    pairs = [i for i in range(1, len(found) - 1) if _exchangeable(text, found, i, guard)]
    if not pairs:
        return text
    first = dice.choice(pairs)
    (a, b), (c, d) = found[first], found[first + 1]
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _put(match: re.Match[str], put: str, guard: Guard, wanted: bool) -> str:
    if not wanted or not guard.free(*match.span()):
        return match[0]
    return match[0].lower() if put == "small" else put


def _exchangeable(text: str, found: list[tuple[int, int]], i: int, guard: Guard) -> bool:
    (a, b), (_, d) = found[i], found[i + 1]
    after = found[i + 2 : i + 3]
    leaning = [_LEANING.match(text, start) for start, _ in (found[i], found[i + 1], *after)]
    questions = text[b - 1] in "?？:：" or text[d - 1] in "?？:："
    return "\n" not in text[a:d] and not any(leaning) and not questions and guard.free(a, d)
