"""Attack: the request is framed in another language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.types import Example
from tunesmith.evaluate.attacks._edit import Edit, Known, Level, Opened
from tunesmith.evaluate.attacks._texts import frames


@dataclass(frozen=True)
class LanguageSwitch:
    """A polite sentence in another language before or behind the question; the question itself is not translated.

    Args:
        languages: codes of en, zh, es, fr, de, pt, ru, ar, ja, hi; empty: all of them.
        edits: sentences put in together.
        characters: their letters together.
        queries: questions to the model for one row.
    """

    languages: tuple[str, ...] = ()
    edits: Annotated[int, Field(ge=1)] = 2
    characters: Annotated[int, Field(ge=1)] = 300
    queries: Annotated[int, Field(ge=1)] = 14

    level: ClassVar[Level] = "instruction"

    def open(self, known: Known) -> Opened:
        """See `Attack.open`."""
        chosen = [pair for code, pair in frames().items() if not self.languages or code in self.languages]

        def edits(_row: Example, text: str) -> list[Edit]:
            end = len(text)
            return [
                edit
                for before, behind in chosen
                for edit in (Edit(0, 0, f"{before}\n\n"), Edit(end, end, f"\n\n{behind}"))
            ]

        return edits
