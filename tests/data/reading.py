"""Reading a source with what it notices."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tunesmith.core.types import Drop, Example
from tunesmith.data.read._parts import Divided


def read_noting(source: Divided, root: Path, notes: Counter[str]) -> list[Example | Drop]:
    """Every row of every part; what the source noticed is in `notes`."""
    return [item for part in source.parts(root) for item in source.read_part(root, (), part=part, notes=notes)]
