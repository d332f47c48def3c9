"""What a chain quotes or cites must have been given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equal import folded

_QUOTE = re.compile(r"\"([^\"\n]{1,1000})\"|“([^“”\n]{1,1000})”|「([^「」\n]{1,1000})」|«([^«»\n]{1,1000})»")
_MARK = re.compile(r"\[(\d{1,3})\]")
_PASSAGE = re.compile(
    r"(?:^|\n)[ \t]*(?:\[(\d{1,3})\]|(?:passage|document|source|fact) (\d{1,3})[ \t]*[:.])", re.IGNORECASE
)
_SPACES = re.compile(r"\W+")


@dataclass(frozen=True)
class Citation:
    """Quotations must stand in the question word for word, numbers in brackets must name a passage of it.

    Args:
        at_least_words: shorter quotations are names and emphasis, and left alone (Chinese: characters).
    """

    at_least_words: int = 3

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each quotation and each `[n]`, in the order of the text."""
        given = "\n".join(message.content for message in question)
        plain = _plain(given)
        passages = {one or two for one, two in _PASSAGE.findall(given)}
        found: list[tuple[int, Finding]] = []
        for quote in _QUOTE.finditer(chain.written):
            words = next(group for group in quote.groups() if group is not None)
            if self._length(words) >= self.at_least_words:
                found.append((quote.start(), _finding(_plain(words) in plain, f"quoted: {words[:80]}", quote.span())))
        if passages:
            for mark in _MARK.finditer(chain.written):
                found.append((mark.start(), _finding(mark[1] in passages, f"cited: passage {mark[1]}", mark.span())))
        return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]

    def _length(self, words: str) -> int:
        return len(words.split()) if words.isascii() or " " in words.strip() else len(words)


def _plain(text: str) -> str:
    """Words alone, with borders at both ends, so that `art` is not found in `part`."""
    return " " + _SPACES.sub(" ", folded(text)).strip() + " "


def _finding(holds: bool, detail: str, span: tuple[int, int]) -> Finding:
    return Finding(
        check="citation",
        verdict="for" if holds else "against",
        detail=detail if holds else f"{detail} - not given",
        span=span,
    )
