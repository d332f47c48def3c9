"""Lists that the detectors of names read; where each comes from stands in its file under `source`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files


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
        surnames: those that are hardly ever anything else; `soft`: also adjectives, colours and things;
            `functional`: also particles and verbs. `double`: of two characters.
        given: characters that given names are made of; `rare_given`: those that are far more often other words;
            `first_given`: particles and verbs that stand at most first in a given name.
    """

    surnames: frozenset[str]
    soft: frozenset[str]
    functional: frozenset[str]
    double: frozenset[str]
    given: frozenset[str]
    rare_given: frozenset[str]
    first_given: frozenset[str]


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
    letters = {field.name: frozenset(read[field.name]) for field in fields(NamesChinese)}
    return NamesChinese(**{**letters, "double": frozenset(read["double"].split())})


def _read(name: str) -> dict[str, str]:
    read: dict[str, str] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return read
