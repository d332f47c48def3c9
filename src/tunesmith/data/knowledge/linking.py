"""Which names mean the same thing: synonym tables, and abbreviations that a text explains itself."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.data.knowledge.normal import phrase_key

_OBO_SYNONYM = re.compile(r'synonym: "((?:[^"\\]|\\.)*)" EXACT')
_SHORT = re.compile(r"[(（]\s*([A-Za-z0-9][\w./-]{1,9})\s*[)）]")
_HAN_END = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]$")


@dataclass(frozen=True)
class Synonyms:
    """A table of names: normalised form -> normalised form of the thing's own name.

    Fields:
        keys: what is replaced by what.
        names: normalised form of a thing -> its name as people write it.
        ambiguous: normalised forms that are synonyms of more than one thing; they are linked to none.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    ambiguous: frozenset[str] = frozenset()

    @staticmethod
    def of(pairs: Iterable[tuple[str, str]]) -> Synonyms:
        """The table of (name, synonym) pairs. A thing's own name is never replaced, whatever it is a synonym of."""
        names: dict[str, str] = {}
        meant: dict[str, dict[str, None]] = defaultdict(dict)
        for name, synonym in pairs:
            names.setdefault(phrase_key(name), name)
            meant[phrase_key(synonym)][phrase_key(name)] = None
        others = {key: tuple(of) for key, of in meant.items() if key not in names}
        keys = {key: of[0] for key, of in others.items() if len(of) == 1}
        return Synonyms(keys, names, frozenset(key for key, of in others.items() if len(of) > 1))

    def key(self, key: str) -> str:
        """The thing's own key for `key`; itself where the table does not know it, or knows it twice."""
        return self.keys.get(key, key)

    def joined(self, other: Synonyms) -> Synonyms:
        """Both tables; where they differ, this one is right."""
        keys = {**other.keys, **self.keys}
        own = {key: name for key, name in keys.items() if key not in self.names and key not in self.ambiguous}
        return Synonyms(own, {**other.names, **self.names}, self.ambiguous | other.ambiguous)


def read_synonyms(path: Path) -> Synonyms:
    """A synonym table from a file.

    Read are ontologies in OBO format (`name:` and exact synonyms; `hp.obo` of the Human Phenotype Ontology is one),
    and CSV or TSV with a header and the columns `name` and `synonym`.

    Raises:
        UserError: it cannot be read, or has neither form.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return Synonyms.of(_obo(file) if path.suffix.lower() == ".obo" else _table(file, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"not readable as a synonym table: {error}"
        raise UserError(Problem("broken-synonyms", message, "expected UTF-8: OBO, CSV or TSV", str(path))) from None


def _obo(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, name) of every term, and (name, synonym); obsolete terms are left out."""
    name, found = "", list[str]()
    for line in [*lines, "[Term]"]:
        if line.startswith("["):
            yield from ((name, text) for text in found)
            name, found = "", []
        elif line.startswith("name: "):
            name = line[6:].strip()
            found.insert(0, name)
        elif line.startswith("is_obsolete: true"):
            found = []
        elif match := _OBO_SYNONYM.match(line):
            found.append(match[1].replace('\\"', '"'))


def _table(lines: Iterable[str], path: Path) -> Iterator[tuple[str, str]]:
    rows = csv.DictReader(lines, delimiter="\t" if path.suffix.lower() in (".tsv", ".tab") else ",")
    if not {"name", "synonym"} <= set(rows.fieldnames or ()):
        message = "a synonym table has the columns 'name' and 'synonym'"
        raise UserError(Problem("missing-column", message, f"found: {', '.join(rows.fieldnames or ())}", str(path)))
    for row in rows:
        if row["name"] and row["synonym"]:
            yield row["name"], row["name"]
            yield row["name"], row["synonym"]


def abbreviations(text: str, phrases: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(long form, abbreviation) pairs that `text` explains in brackets: `acute myeloid leukaemia (AML)`.

    Latin letters by Schwartz and Hearst 2003 ("A simple algorithm for identifying abbreviation definitions in
    biomedical text"): each letter of the short form is found in the long form, from the right, the first one at the
    start of a word. After a Chinese name, whose letters say nothing, the long form is the longest of `phrases`
    that ends before the bracket.
    """
    found = []
    for match in _SHORT.finditer(text):
        before = text[: match.start()].rstrip()
        if _HAN_END.search(before):
            known = [phrase for phrase in phrases if before.endswith(phrase)]
            long = max(known, key=len, default="")
        else:
            long = _long_form(match[1], before)
        if len(long) > len(match[1]) or (long and _HAN_END.search(long)):
            found.append((long, match[1]))
    return found


def _long_form(short: str, before: str) -> str:
    words = re.split(r"[,;:.!?()]", before)[-1].split()
    text = " ".join(words[-min(len(short) + 5, 2 * len(short)) :])
    place = len(text)
    for i in range(len(short) - 1, -1, -1):
        if not short[i].isalnum():
            continue
        place -= 1
        while place >= 0 and (text[place].lower() != short[i].lower() or (i == 0 and not _starts_word(text, place))):
            place -= 1
        if place < 0:
            return ""
    return text[text.rfind(" ", 0, place + 1) + 1 :]


def _starts_word(text: str, place: int) -> bool:
    return place == 0 or not text[place - 1].isalnum()
