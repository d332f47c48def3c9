"""Triples by the patterns of a domain: what an expert's sentences and records look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Evidence, Triple
from tunesmith.data.extract._domain import FOLDER, Domain, own_domains, read_domain
from tunesmith.data.extract._grammar import Link, Pattern, prepared
from tunesmith.data.extract._records import Records
from tunesmith.data.extract._text import Claim, as_triples, plain, sentences
from tunesmith.data.read._files import locate

_NAME = "patterns"


@dataclass(frozen=True)
class Patterns:
    """Names in the roles of a domain, from sentences that fit a pattern and from records with labels.

    Domains that come along: `medical` (symptom, diagnosis, treatment), `manufacturing` (part, fault, action), `finance`
    (applicant, attribute, decision). One of your own is a YAML file with `roles`, `chain` and `patterns`.

    Args:
        domain: name of a domain that comes along.
        path: a domain file of the project, instead.
        language: `en` or `zh`.
    """

    domain: str = ""
    path: str = ""
    language: Literal["en", "zh"] = "en"

    def open(self, root: Path) -> Callable[[str], list[Triple]]:
        """See `tunesmith.core.protocols.Extractor`; subjects and objects carry their role as kind."""
        domain, shown = self._domain(root)
        return _Reader(domain.compiled(self.language, shown), Records.of(domain, self.language), self.language)

    def outside(self, root: Path) -> dict[str, str]:
        """The digest of a domain file of the project: another one makes another graph."""
        return {self.path: digest_file(locate(root, self.path))} if self.path else {}

    def _domain(self, root: Path) -> tuple[Domain, str]:
        if bool(self.domain) == bool(self.path):
            hint = f"known domains: {', '.join(own_domains())}"
            raise UserError(Problem("wrong-value", "patterns take either a domain or a path", hint, "domain"))
        if self.path:
            return read_domain(locate(root, self.path), self.path), self.path
        if self.domain not in own_domains():
            hint = did_you_mean(self.domain, own_domains())
            raise UserError(Problem("unknown-domain", f"there is no domain '{self.domain}'", hint, "domain"))
        return read_domain(FOLDER / f"{self.domain}.yaml", self.domain), self.domain


@dataclass(frozen=True)
class _Reader:
    """What reads texts by the patterns and labels of a domain."""

    patterns: Sequence[Pattern]
    records: Records
    language: str

    def __call__(self, text: str) -> list[Triple]:
        """See `tunesmith.core.protocols.Extractor`."""
        return self.answered(text, "")

    def answered(self, text: str, answer: str) -> list[Triple]:
        """The same of a question, its answer being part of the last record in it."""
        found: list[Triple] = []
        for start, end in sentences(text):
            evidence = Evidence(sentence=text[start:end], start=start, end=end)
            ready = prepared(plain(evidence.sentence).rstrip(".。"), self.language)
            claims = (pair for pattern in self.patterns for pair in pattern.claims(ready, self.records.links))
            found += self._triples(claims, evidence)
        paragraphs = list(_paragraphs(text))
        for start, end in paragraphs:
            evidence = Evidence(sentence=text[start:end], start=start, end=end)
            last = answer if (start, end) == paragraphs[-1] else ""
            found += self._triples(self.records.claims(evidence.sentence, last), evidence)
        return found

    def _triples(self, claims: Iterator[tuple[Claim, Link]], evidence: Evidence) -> list[Triple]:
        """Triples of one sentence or record, with the roles as kinds."""
        by_link: dict[Link, list[Claim]] = {}
        for claim, link in claims:
            by_link.setdefault(link, []).append(claim)
        return [
            triple.model_copy(update={"subject_kind": link.subject, "object_kind": link.object})
            for link, found in by_link.items()
            for triple in as_triples(found, evidence, language=self.language, extractor=_NAME)
        ]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of what stands between empty lines: a record has its labels in one of them."""
    start = 0
    for part in text.split("\n\n"):
        if part.strip():
            yield start, start + len(part)
        start += len(part) + 2
