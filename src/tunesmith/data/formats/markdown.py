"""Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import DataKind
from tunesmith.data.formats._decoding import decoded

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:(?!---).*\n){0,200}---[ \t]*(?:\n|\Z)")


@dataclass(frozen=True)
class Markdown:
    """Markdown (.md, .markdown), marks and all: models read and write them. Front matter between `---` is left out."""

    kind: ClassVar[DataKind] = "unstructured"
    risky: ClassVar[bool] = False

    def knows(self, head: bytes, name: str) -> bool:
        """By name; Markdown has no mark of its own."""
        return name.lower().endswith((".md", ".markdown"))

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """The text below the front matter."""
        text = decoded(content)
        front = _FRONT_MATTER.match(text)
        yield None, text[front.end() :] if front else text
