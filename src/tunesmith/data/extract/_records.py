"""Records with labels (`Fault: worn belt; Action: replace it`) as chains of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tunesmith.data.extract._domain import Domain, Language
from tunesmith.data.extract._grammar import Link, paired
from tunesmith.data.extract._text import Claim

_CONFIDENCE = 0.9
_SEPARATORS = {"en": re.compile(r"\s*(?:,\s*(?:and|or)\s+|,\s+|\s+and\s+)"), "zh": re.compile("[、，,]|以及|或者")}
_MOST_NAMES = 30


def record_claims(text: str, domain: Domain, language: Language, links: Sequence[Link]) -> Iterator[tuple[Claim, Link]]:
    """Claims between the names that stand after two labels of one record.

    A record is a run of `label: names` between which nothing stands but `;`, `.` or line ends; a label that comes again
    begins a new one.
    """
    names: dict[str, list[str]] = {}
    labels: set[str] = set()
    for role, label, value in _fields(text, domain, language):
        if label in labels:
            yield from paired(names, links, (_CONFIDENCE, False, False))
            names, labels = {}, set()
        labels.add(label)
        names.setdefault(role, []).extend(_names(label, value, language, domain.roles[role].with_label))
    yield from paired(names, links, (_CONFIDENCE, False, False))


def _fields(text: str, domain: Domain, language: Language) -> Iterator[tuple[str, str, str]]:
    """(role, label as written, what follows) of every label in the text."""
    known = {label.lower(): role for role, said in domain.roles.items() for label in said.labels(language)}
    if not known:
        return
    options = "|".join(re.escape(label) for label in sorted(known, key=len, reverse=True))
    start = r"(?:^|(?<=[\n;.；。,，]))[ \t>*#|-]{0,8}"
    for match in re.finditer(
        rf"{start}({options})[ \t*]{{0,4}}[:：=][ \t*]{{0,4}}([^\n;；。]{{1,300}})", text, re.IGNORECASE
    ):
        yield known[match[1].lower()], match[1], re.split(r"\.(?=\s|$)", match[2])[0].strip(" *|")


def _names(label: str, value: str, language: Language, with_label: bool) -> list[str]:
    if with_label:
        return [f"{label.lower()}: {value}"] if value else []
    parts = (part.strip() for part in _SEPARATORS[language].split(value))
    return [part for part in parts if part][:_MOST_NAMES]
