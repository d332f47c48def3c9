"""PDF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import DataKind

_MARK_WITHIN = 1024


@dataclass(frozen=True)
class Pdf:
    """PDF, page by page: the text that it carries (pypdf). Pictures of text carry none: run OCR over them first."""

    kind: ClassVar[DataKind] = "unstructured"
    risky: ClassVar[bool] = True

    def knows(self, head: bytes, name: str) -> bool:
        """By the mark `%PDF-` at its begin; where it is named as a PDF, within the first kilobyte, as viewers do."""
        return head.lstrip()[:5] == b"%PDF-" or (name.lower().endswith(".pdf") and b"%PDF-" in head[:_MARK_WITHIN])

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """(page, text); ValueError: a password is needed, or no page carries text."""
        from pypdf import PdfReader

        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it is encrypted, and a password is needed")
        empty = True
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text()
            empty = empty and not text.strip()
            yield number, text
        if empty:
            raise ValueError("no page carries text: pictures of text need OCR first")
