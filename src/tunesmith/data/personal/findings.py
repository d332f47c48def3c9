"""Where personal data stands in a text: all detectors asked, overlaps settled, spans mapped back."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "resident_id", "iban", "bank_card", "email", "ip", "ssn", "phone", "passport", "plate", "address", "name"
]
KINDS: tuple[Kind, ...] = (
    "resident_id",
    "iban",
    "bank_card",
    "email",
    "ip",
    "ssn",
    "phone",
    "passport",
    "plate",
    "address",
    "name",
)
"""All classes, the surest first: where two spans overlap, the earlier class wins."""

Part = tuple[str, str]
Detector = Callable[[str], Iterator["Finding"]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of personal data.

    Fields:
        kind: its class.
        start, end: span in the text, in characters.
        parts: (role, canonical value) of what stand-ins are chosen by. Most classes have one part (`("phone",
            "13800138000")`); a name has one for each word (`("given", "john"), ("surname", "smith")`), so that "John
            Smith", "John" and "Mr Smith" stay one person.
    """

    kind: Kind
    start: int
    end: int
    parts: tuple[Part, ...]

    def digest(self, key: bytes) -> str:
        """Twelve hexadecimal digits that say whether two findings are the same, and nothing else without `key`.

        HMAC-SHA256: a plain hash of a phone number is found by trying all phone numbers.
        """
        message = "\x1f".join([self.kind, *(f"{role}={value}" for role, value in self.parts)])
        return hmac.new(key, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]


def find(text: str, kinds: Iterable[Kind] = KINDS) -> list[Finding]:
    """Every piece of personal data in `text`, in order of position, without overlaps.

    Linear in the length of the text, whatever stands in it. Not found is what only the reader of a whole story knows:
    a person told by her circumstances, a first name alone, an account name.

    Args:
        text: any text; Chinese and English are understood.
        kinds: classes that are looked for.
    """
    from tunesmith.data.personal.detectors import DETECTORS
    from tunesmith.data.personal.shadow import shadow

    wanted = set(kinds)
    plain = shadow(text)
    found = [f for kinds_of, detect in DETECTORS if wanted & kinds_of for f in detect(plain.text) if f.kind in wanted]
    return [_mapped(f, *plain.original(f.start, f.end)) for f in without_overlaps(found)]


def without_overlaps(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that remain when of two that overlap the surer class, then the longer one, wins; by position."""
    order = {kind: i for i, kind in enumerate(KINDS)}
    kept: dict[int, Finding] = {}
    taken: set[int] = set()
    for finding in sorted(findings, key=lambda f: (order[f.kind], f.start - f.end, f.start)):
        span = range(finding.start, finding.end)
        if taken.isdisjoint(span):
            taken.update(span)
            kept[finding.start] = finding
    return [kept[start] for start in sorted(kept)]


def _mapped(finding: Finding, start: int, end: int) -> Finding:
    return replace(finding, start=start, end=end)
