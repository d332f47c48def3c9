"""Documents in parts that fit into a prompt, and anything in groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_BORDERS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])"), re.compile(r"\s+"))

T = TypeVar("T")


def passages(text: str, most: int) -> list[str]:
    """`text` in parts of at most `most` characters, cut between paragraphs, else lines, sentences or words."""
    parts: list[str] = []
    rest = text.strip()
    while len(rest) > most:
        end = _border(rest, most)
        parts.append(rest[:end].strip())
        rest = rest[end:].strip()
    return [part for part in [*parts, rest] if part]


def _border(text: str, most: int) -> int:
    """The last border within `most` characters of the strongest kind that leaves at least half of them."""
    for border in _BORDERS:
        ends = [match.end() for match in border.finditer(text, 0, most)]
        if ends and ends[-1] >= most // 2:
            return ends[-1]
    return most


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while found := list(islice(rest, size)):
        yield found
