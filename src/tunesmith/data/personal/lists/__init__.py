"""Lists that the detectors of names read; where each comes from stands in its file under `source`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class StandIns:
    """Names that stand for real ones: plausible, borne by (nearly) nobody, and not found by the detectors.

    Fields:
        given: English given names out of use; `surnames`: invented English surnames.
        surnames_zh: Chinese double surnames of a handful of families; `given_zh`: characters of given names.
    """

    given: frozenset[str]
    surnames: frozenset[str]
    surnames_zh: frozenset[str]
    given_zh: frozenset[str]


@dataclass(frozen=True)
class NamesEnglish:
    """Names in Latin letters, in lower case.

    Fields:
        given, surnames: names. `words`: those of both that are also English words or places.
        titles: what stands before a name (`mr`). `organisations`: what after a name makes it no person's (`bank`).
        place_prefixes: what before a given name makes it a place's (`san`). `never`: words that are in no name.
        pinyin_surnames: Chinese surnames in Latin letters.
    """

    given: frozenset[str]
    surnames: frozenset[str]
    words: frozenset[str]
    titles: frozenset[str]
    organisations: frozenset[str]
    place_prefixes: frozenset[str]
    never: frozenset[str]
    pinyin_surnames: frozenset[str]


@dataclass(frozen=True)
class NamesChinese:
    """Chinese names.

    Fields:
        surnames: surname of one character -> how much it speaks for a name: log10 of how much more often it stands
            there than in other words. `double`: surnames of two characters.
        given: character of given names -> the same.
        foreign: characters that foreign names are written with.
    """

    surnames: dict[str, float]
    double: frozenset[str]
    given: dict[str, float]
    foreign: str


@cache
def stand_ins() -> StandIns:
    """The stand-ins, read once."""
    read = _read("stand_ins.json")
    return StandIns(
        frozenset(read["given"].split()),
        frozenset(read["surnames"].split()),
        frozenset(read["surnames_zh"].split()),
        frozenset(read["given_zh"]),
    )


@cache
def names_english() -> NamesEnglish:
    """Given names and surnames of the United States' census of 1990, with the commonest of other countries."""
    read = _read("names_en.json")
    return NamesEnglish(**{field.name: frozenset(read[field.name].split()) for field in fields(NamesEnglish)})


@cache
def names_chinese() -> NamesChinese:
    """Chinese surnames and the characters of given names."""
    read = _read("names_zh.json")
    surnames, given = ({c: float(w) for w, cs in read[key].items() for c in cs} for key in ("surnames", "given"))
    return NamesChinese(surnames, frozenset(read["double"].split()), given, read["foreign"])


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return read
