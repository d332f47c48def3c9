"""HTML pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.core.types import DataKind
from tunesmith.data.formats._decoding import decoded

_HEAD_BYTES = 4096
_BEGINS = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.DOTALL | re.I
)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Html:
    """HTML pages: what a reader sees of them, blocks on lines of their own; menus and notices stay, see `clean`."""

    kind: ClassVar[DataKind] = "unstructured"
    risky: ClassVar[bool] = True

    def knows(self, head: bytes, name: str) -> bool:
        """By how it begins; a page that begins otherwise, by name."""
        if head.startswith(_MARKS):
            head = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")
        return bool(_BEGINS.match(head)) or name.lower().endswith((".html", ".htm", ".xhtml"))

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """The text of the page, read in the encoding that it declares."""
        from tunesmith.data.clean.html import Html as Cleaner

        declared = _CHARSET.search(content[:_HEAD_BYTES])
        text = decoded(content, declared.group(1).decode("ascii") if declared else None)
        yield None, Cleaner().clean(text)
