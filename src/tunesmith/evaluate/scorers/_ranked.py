"""Ranked lists: what an answer puts in which order, and what the reference says each item is worth."""

from __future__ import annotations

import re

from tunesmith.evaluate.scorers.exact_match import normalised

_BULLET = re.compile(r"^\s*(?:\(?\d+[.):、）]|[-*•])\s*")


def items(text: str) -> list[str]:
    """The lines of a list, bullets and numbers taken off, each item once."""
    return list(dict.fromkeys(form for line in text.splitlines() if (form := normalised(_BULLET.sub("", line)))))


def grades(reference: str) -> dict[str, float]:
    """Item -> what it is worth: `ITEM | GRADE` a line, or without grades the first item most and the last 1."""
    lines = [_BULLET.sub("", line) for line in reference.splitlines() if line.strip()]
    graded: dict[str, float] = {}
    for place, line in enumerate(lines):
        name, bar, grade = line.rpartition("|")
        try:
            worth = float(grade) if bar else float(len(lines) - place)
        except ValueError:
            name, worth = line, float(len(lines) - place)
        if form := normalised(name if bar else line):
            graded.setdefault(form, max(worth, 0.0))
    return graded
