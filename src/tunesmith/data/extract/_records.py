"""Records with labels (`Fault: worn belt; Action: replace it`) as chains of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.data.extract._domain import Domain, Language
from tunesmith.data.extract._grammar import Link, paired
from tunesmith.data.extract._text import Claim

_CONFIDENCE = 0.9
_SEPARATORS = {"en": re.compile(r"\s*(?:,\s*(?:and|or)\s+|,\s+|\s+and\s+)"), "zh": re.compile("[、，,]|以及|或者")}
_MARKS = ":：="
_START = r"(?:^|(?<=[\n;.；。,，]))"
_MOST_NAMES = 30
_FEWEST_UNMARKED = 3
_LONGEST_ANSWER = 60

Field = tuple[str, str, str]
"""Role, label as written, what follows."""


@dataclass(frozen=True)
class Records:
    """What reads the records of a domain in one language.

    Fields:
        roles: label -> role.
        with_label: roles whose names keep the label.
        whole: roles of which one name stands after a label.
        marked: label and value with a colon or `=` between; None where the domain has no labels.
        unmarked: label and value with a space between, in a list with commas; None where the domain has none.
        links: the steps of the chain.
        answer: the role of what a row answers; empty for none.
        language: of names.
    """

    roles: Mapping[str, str]
    with_label: frozenset[str]
    whole: frozenset[str]
    marked: re.Pattern[str] | None
    unmarked: re.Pattern[str] | None
    links: Sequence[Link]
    answer: str
    language: Language

    @classmethod
    def of(cls, domain: Domain, language: Language) -> Records:
        """Those of a domain."""
        roles = {label.lower(): role for role, said in domain.roles.items() for label in said.labels(language)}
        bare = [label for said in domain.roles.values() if said.unmarked for label in said.labels(language)]
        marked = (
            rf"{_START}[ \t>*#|-]{{0,8}}({_one_of(roles)})[ \t*]{{0,4}}[{_MARKS}][ \t*]{{0,4}}([^\n;；。]{{1,300}})"
        )
        unmarked = rf"(?:^|(?<=[,，;；]))\s?({_one_of(bare)}) ([^,，;；:：=\n]{{1,60}})(?=[,，;；]|$)"
        return cls(
            roles,
            frozenset(role for role, said in domain.roles.items() if said.with_label),
            frozenset(role for role, said in domain.roles.items() if said.whole),
            re.compile(marked, re.IGNORECASE) if roles else None,
            re.compile(unmarked, re.IGNORECASE) if bare else None,
            domain.links(language),
            domain.answer,
            language,
        )

    def claims(self, text: str, answer: str = "") -> Iterator[tuple[Claim, Link]]:
        """Claims between the names that stand after two labels of one record.

        A record is a run of `label: names` between which nothing stands but `;`, `.` or line ends; a label that comes
        again begins a new one.

        Args:
            text: a paragraph.
            answer: what the row with this text answers: the name in the role `answer` of the last record, if short.
        """
        names: dict[str, list[str]] = {}
        labels: set[str] = set()
        for role, label, value in self._fields(text):
            if label in labels:
                yield from paired(names, self.links, (_CONFIDENCE, False, False))
                names, labels = {}, set()
            labels.add(label)
            names.setdefault(role, []).extend(self._names(role, label, value))
        if (
            answer
            and self.answer
            and self.answer not in names
            and "\n" not in answer
            and len(answer) <= _LONGEST_ANSWER
        ):
            names[self.answer] = [answer]
        yield from paired(names, self.links, (_CONFIDENCE, False, False))

    def _fields(self, text: str) -> Iterator[Field]:
        """Every label in the text with what follows; those without a mark only where there are at least three."""
        if self.marked and any(mark in text for mark in _MARKS):
            for match in self.marked.finditer(text):
                value = re.split(r"\.(?=\s|$)", match[2])[0].strip(" *|")
                yield self.roles[match[1].lower()], match[1], value
        bare = list(self.unmarked.finditer(text)) if self.unmarked else []
        if len(bare) >= _FEWEST_UNMARKED:
            yield from ((self.roles[match[1].lower()], match[1], match[2].strip()) for match in bare)

    def _names(self, role: str, label: str, value: str) -> list[str]:
        if role in self.with_label:
            return [f"{label.lower()}: {value}"] if value else []
        if role in self.whole:
            return [value] if value else []
        parts = (part.strip() for part in _SEPARATORS[self.language].split(value))
        return [part for part in parts if part][:_MOST_NAMES]


def _one_of(labels: Mapping[str, str] | Sequence[str]) -> str:
    """The labels as alternatives, longer ones first."""
    return "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
