"""The steps of a chain: its lines, or its sentences where it is one paragraph."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"[^\n]+")
_SENTENCE = re.compile(r"[^\n.!?。！？]+(?:[.!?。！？]+(?!\s|$)[^\n.!?。！？]*)*[.!?。！？]*")
_MOST_STEPS = 200


@dataclass(frozen=True)
class Step:
    """One step: its text, and its first and last character (exclusive) in what was written."""

    text: str
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        """Where it stands."""
        return self.start, self.end


def steps(written: str) -> list[Step]:
    """The steps of a chain in order, at most 200; empty lines are none."""
    lines = _found(_LINE, written)
    return (lines if len(lines) > 1 else _found(_SENTENCE, written))[:_MOST_STEPS]


def sentences(written: str) -> list[Step]:
    """The sentences of a text in order; a line break ends one."""
    return _found(_SENTENCE, written)


def _found(pattern: re.Pattern[str], text: str) -> list[Step]:
    pieces = ((found.group(), found.start()) for found in pattern.finditer(text))
    stripped = ((piece.strip(), start + len(piece) - len(piece.lstrip())) for piece, start in pieces)
    return [Step(piece, start, start + len(piece)) for piece, start in stripped if piece]
