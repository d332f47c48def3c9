"""Masks personal data, or puts stand-ins in its place."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.data.personal.findings import KINDS, Finding, Kind, find
from tunesmith.data.personal.pseudonyms import fingerprint, stand_in

_PASSES = 5
_SHORTEST_SECRET = 16


@dataclass(frozen=True)
class PersonalData:
    """Personal data becomes a mask (`[EMAIL]`) or a consistent stand-in, in English and Chinese.

    Found are e-mail, telephone, Chinese resident identity, social security, IBAN, bank card, IP address, passport and
    number plate where named, names of people and, coarsely, postal addresses; fullwidth digits, separators and
    invisible characters do not hide them. To drop such rows instead, use the filter `personal_data`.

    With `pseudonymise` the same person, number or address gets the same stand-in in every row of every run that has the
    same secret; nobody can come back from it without the secret. Stand-ins are plausible, but no one's: numbers from
    ranges that are never given out or with a wrong check digit, names that nobody bears.

    What cleaners do not touch stays: results and calls of tools, attributes, groups, names of files.

    Args:
        action: `mask` or `pseudonymise`.
        kinds: classes that are treated.
        secret: name of the environment variable that holds the secret for `pseudonymise`, at least 16 characters. It
            stands neither in the project file nor in the snapshot.
    """

    action: Literal["mask", "pseudonymise"] = "mask"
    kinds: tuple[Kind, ...] = KINDS
    secret: str = "TUNESMITH_PSEUDONYM_SECRET"

    def clean(self, text: str) -> str:
        """The text without personal data; repeated until nothing is found any more, at most five times.

        Raises:
            UserError: `pseudonymise` without a secret in the environment.
        """
        return self.clean_noting(text, Counter())

    def clean_noting(self, text: str, notes: Counter[str]) -> str:
        """`clean`, which also counts class -> pieces in `notes`."""
        for _ in range(_PASSES):
            found = find(text, self.kinds)
            if not found:
                break
            notes.update(finding.kind for finding in found)
            text = self._replaced(text, found)
        return text

    def outside(self) -> dict[str, str]:
        """What decides the outcome beside the settings: a fingerprint of the secret, which does not give it away."""
        return {self.secret: fingerprint(self._key)} if self.action == "pseudonymise" else {}

    def _replaced(self, text: str, found: list[Finding]) -> str:
        parts: list[str] = []
        done = 0
        for finding in found:
            written = text[finding.start : finding.end]
            parts += [text[done : finding.start], self._instead(finding, written)]
            done = finding.end
        return "".join([*parts, text[done:]])

    def _instead(self, finding: Finding, written: str) -> str:
        if self.action == "mask":
            return f"[{finding.kind.upper()}]"
        return stand_in(finding, written, self._key)

    @cached_property
    def _key(self) -> bytes:
        secret = os.environ.get(self.secret, "")
        if len(secret) < _SHORTEST_SECRET:
            message = f"pseudonymise needs a secret of at least {_SHORTEST_SECRET} characters in {self.secret}"
            hint = f"keep one apart from the data: export {self.secret}=$(openssl rand -hex 32)"
            raise UserError(Problem("no-secret", message, hint, "data.clean"))
        return secret.encode("utf-8", "surrogateescape")
