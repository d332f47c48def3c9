"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import DataKind
from tunesmith.data.formats._decoding import decoded

_SUFFIXES = (".txt", ".text", ".log")


@dataclass(frozen=True)
class Plain:
    """Plain text (.txt, .text, .log): UTF-8, or what its byte order mark says."""

    kind: ClassVar[DataKind] = "unstructured"
    risky: ClassVar[bool] = False

    def knows(self, head: bytes, name: str) -> bool:
        """By name; text has no mark of its own."""
        return name.lower().endswith(_SUFFIXES)

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """The text as it is."""
        yield None, decoded(content)
