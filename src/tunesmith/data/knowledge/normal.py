"""Normalised forms: when two phrases, or two relations, count as the same thing.

Keys are for comparing, never for showing: `diabetes` may become a form that no dictionary has, as long as every way of
writing it becomes the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tunesmith.data.similarity import normalised

ARTICLES = frozenset(
    ["a", "an", "the", "this", "that", "these", "those", "its", "his", "her", "their", "our", "my", "your", "any"]
)
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_ASIDE = re.compile(r"\s*[(（\[][^()（）\[\]]{1,60}[)）\]]\s*$")
_OWNER = re.compile(rf"(?<=[{_HAN}])(?<!目)的(?=\w)")
_GAP = re.compile(rf"(?<=[{_HAN}]) | (?=[{_HAN}])|(?<=\d) (?=[%°])")
_UNIT = re.compile(r"(?<=\d)(?=[a-zµμ])")
_POSSESSIVE = re.compile(r"(?<=\w)['’]s?(?!\w)")

_KEPT = frozenset(
    ["diabetes", "series", "species", "herpes", "rabies", "scabies", "measles", "mumps", "caries", "news", "lens"]
)
_IRREGULAR = {
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "teeth": "tooth",
    "feet": "foot",
    "axes": "axis",
    "criteria": "criterion",
    "phenomena": "phenomenon",
    "bacteria": "bacterium",
    "vertebrae": "vertebra",
    "nuclei": "nucleus",
    "stimuli": "stimulus",
    "calves": "calf",
    "knives": "knife",
    "halves": "half",
    "matrices": "matrix",
    "vertices": "vertex",
    "indices": "index",
}
_ENDINGS = (
    ("oses", "osis"),
    ("yses", "ysis"),
    ("ases", "ase"),
    ("ises", "ise"),
    ("sses", "ss"),
    ("shes", "sh"),
    ("ches", "ch"),
    ("xes", "x"),
    ("zzes", "zz"),
    ("oes", "o"),
    ("ss", "ss"),
    ("us", "us"),
    ("is", "is"),
)


@lru_cache(maxsize=65536)
def phrase_key(text: str) -> str:
    """The normalised form of a phrase.

    Equal are phrases that differ in case, accents, width and composition of characters, punctuation, articles, English
    plurals, a bracketed abbreviation at the end, spaces around Chinese characters and before units, and the Chinese
    的 between owner and owned.
    """
    bare = _ASIDE.sub("", text) or text
    plain = _UNIT.sub(" ", normalised(_POSSESSIVE.sub("", bare)))
    words = [singular(word) for word in plain.split() if word not in ARTICLES]
    return _OWNER.sub("", _GAP.sub("", " ".join(words))) or plain


@lru_cache(maxsize=65536)
def relation_key(text: str) -> str:
    """The normalised form of a relation: case, width, punctuation and spaces; its words are base forms already."""
    return _OWNER.sub("", _GAP.sub("", normalised(text)))


def singular(word: str) -> str:
    """An English noun without its plural ending, by rule; other words pass through more or less as they are."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word in _KEPT or not word.isascii():
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    for ending, instead in _ENDINGS:
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word[:-1]


def is_plural(phrase: str) -> bool:
    """Whether an English noun phrase takes `are`: its head, the last word before a preposition, is a plural."""
    head = re.split(r" (?:of|in|for|to|with|at|from|on|by|against|into|within) ", phrase.lower(), maxsplit=1)[0]
    if " and " in f" {head} ":
        return True
    last = head.split()[-1] if head.split() else ""
    return singular(last) != last and not last.endswith(("'s", "ics"))
