"""Word documents."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tunesmith.core.types import DataKind

_MOST_BYTES = 200_000_000


@dataclass(frozen=True)
class Docx:
    """Word documents (.docx): paragraphs and tables in their order, a row of a table as one line (python-docx)."""

    kind: ClassVar[DataKind] = "unstructured"
    risky: ClassVar[bool] = True

    def knows(self, head: bytes, name: str) -> bool:
        """A zip archive that holds a Word document."""
        return head.startswith(b"PK\x03\x04") and b"word/document.xml" in head

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """The text; ValueError: what is packed in it would unpack to more than 200 MB."""
        import docx

        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"it unpacks to {size:,} bytes, the limit is {_MOST_BYTES:,}")
        yield None, "\n".join(_lines(docx.Document(io.BytesIO(content))))


def _lines(container: Any) -> Iterator[str]:
    for block in container.iter_inner_content():
        if hasattr(block, "rows"):
            for row in block.rows:
                yield " | ".join(" ".join(cell.text.split()) for cell in row.cells)
        else:
            yield block.text
