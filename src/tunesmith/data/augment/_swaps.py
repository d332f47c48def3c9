"""Words that could stand in the place of a word: what the thesauri of both languages give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Swap:
    """A word of a text and what could stand in its place.

    Fields:
        start, end: its characters in the text.
        others: words in the same form, the nearest first.
    """

    start: int
    end: int
    others: tuple[str, ...]
