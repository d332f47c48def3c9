"""Documents that consist of lines which many documents of their source share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import documents
from tunesmith.data.similarity import normalised

_FEWEST_CHARACTERS = 2


@dataclass(frozen=True)
class Boilerplate:
    """Refuses documents that are mostly lines which stand in many documents of the same source.

    Navigation, disclaimers and footers of a site repeat from page to page; what is left of a page without them may be
    nothing. Lines are compared without case, space and punctuation. Plain texts are judged; conversations pass.
    Source: the document-wise count of lines follows CCNet (Wenzek et al. 2020, arXiv:1911.00359, section 3.1), which
    takes such lines out of shards; here whole documents are refused, and no line is taken out.

    Args:
        documents: in at least so many documents of a source stands a line that counts as repeated.
        at_most: share of characters in repeated lines that is still let through.
    """

    documents: int = 10
    at_most: float = 0.5

    def note(self, example: Example) -> Any:
        """Source, and per line a digest of 64 bits with its number of characters."""
        lines = [normalised(line) for text in documents(example) for line in text.split("\n")]
        return [example.source, [[_digest(line), len(line)] for line in lines if len(line) >= _FEWEST_CHARACTERS]]

    def decide(self, notes: Iterable[Any]) -> Iterator[Refusal | None]:
        """`boilerplate`, with the share; memory grows with the number of different lines."""
        count: Counter[tuple[str, int]] = Counter()
        for source, lines in notes:
            count.update({(source, digest) for digest, _ in lines})
        common = {line for line, times in count.items() if times >= self.documents}
        return (self._word(source, lines, common) for source, lines in notes)

    def _word(self, source: str, lines: list[list[int]], common: set[tuple[str, int]]) -> Refusal | None:
        whole = sum(length for _, length in lines)
        shared = sum(length for digest, length in lines if (source, digest) in common)
        if not whole or shared <= self.at_most * whole:
            return None
        seen = f"{shared / whole:.0%} of characters in lines of {self.documents} documents or more"
        return Refusal(reason="boilerplate", detail=f"{seen}, at most {self.at_most:.0%}")


def _digest(line: str) -> int:
    return int.from_bytes(hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
