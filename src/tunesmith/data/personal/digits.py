"""Digits that may be one number: groups joined by single spaces or hyphens, tried in every plausible window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHORTEST, LONGEST = 9, 19
_GROUP = re.compile(r"[0-9]+")
_STRETCH = re.compile(rf"[0-9](?:[ .-]{{0,2}}[0-9]){{{SHORTEST - 1},}}+")
"""Digits that may be joined, enough of them for a number."""
_JOINTS = {" ", "-", "--", "- ", " -", ".", "  "}
_MOST_GROUPS = 6


@dataclass(frozen=True, slots=True)
class Window:
    """A run of digit groups.

    Fields:
        digits: the digits alone.
        shape: digits per group (`138 0013 8000` has (3, 4, 4)).
        start, end: span in the text.
        joints: what stands between the groups.
    """

    digits: str
    shape: tuple[int, ...]
    start: int
    end: int
    joints: frozenset[str]


def windows(text: str) -> Iterator[Window]:
    """Every run of at most six neighbouring groups with 9 to 19 digits in all.

    Digits that stand one by one (`1 3 8 0 ...`) are taken as one run of whatever length, and only as a whole: a column
    of small numbers is no telephone number. So there are at most six windows for each group: linear in the text.
    """
    for stretch in _STRETCH.finditer(text):
        yield from _of_stretch(text, [match.span() for match in _GROUP.finditer(text, *stretch.span())])


def _of_stretch(text: str, groups: list[tuple[int, int]]) -> Iterator[Window]:
    joined = [_joint(text, groups, i) for i in range(len(groups))]
    i = 0
    while i < len(groups):
        singles = _singles(groups, joined, i)
        if singles > 2:
            yield from _window(text, groups[i : i + singles], joined[i + 1 : i + singles])
            i += singles
            continue
        for j in range(i + 1, min(i + _MOST_GROUPS, len(groups)) + 1):
            if (j > i + 1 and not joined[j - 1]) or groups[j - 1][1] - groups[i][0] > 2 * LONGEST:
                break
            yield from _window(text, groups[i:j], joined[i + 1 : j])
        i += 1


def _joint(text: str, groups: list[tuple[int, int]], i: int) -> str:
    """What joins group `i` to the one before it; empty where nothing does."""
    if i == 0 or groups[i][0] - groups[i - 1][1] > 2:
        return ""
    between = text[groups[i - 1][1] : groups[i][0]]
    return between if between in _JOINTS else ""


def _singles(groups: list[tuple[int, int]], joined: list[str], i: int) -> int:
    """How many groups of one digit stand joined from `i` on."""
    j = i
    while j < len(groups) and groups[j][1] - groups[j][0] == 1 and (j == i or joined[j]):
        j += 1
    return j - i


def _window(text: str, groups: list[tuple[int, int]], joints: list[str]) -> Iterator[Window]:
    shape = tuple(end - start for start, end in groups)
    if SHORTEST <= sum(shape) <= LONGEST:
        digits = "".join(text[start:end] for start, end in groups)
        yield Window(digits, shape, groups[0][0], groups[-1][1], frozenset(joints))
