"""What attacks are made of: edits of a question, and what an attack may know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from tunesmith.core.types import Example, Message

Level = Literal["character", "word", "sentence", "instruction", "recorded"]


@dataclass(frozen=True)
class Edit:
    """One change of a text: the characters `start` to `end` become `new`; nothing is replaced where both are equal.

    Args:
        start, end: characters of the text before any edit.
        new: what stands there afterwards.
        demand: what the new text asks the model to say; saying it shows that a planted instruction was obeyed.
    """

    start: int
    end: int
    new: str
    demand: str = ""

    @property
    def size(self) -> int:
        """Characters that it costs: those put in or those taken out, whichever are more."""
        return max(len(self.new), self.end - self.start)

    def meets(self, other: Edit) -> bool:
        """Whether the two cannot be made together: they overlap, or stand at the same place."""
        if (self.start, self.end) == (other.start, other.end):
            return True
        return self.start < other.end and other.start < self.end


def applied(text: str, edits: Iterable[Edit]) -> str:
    """`text` with all edits, none of which meets another."""
    parts, place = [], 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        parts += [text[place : edit.start], edit.new]
        place = edit.end
    return "".join([*parts, text[place:]])


@dataclass(frozen=True)
class Known:
    """What an attacker knows: the project's folder, the closed set of answers, the training rows.

    Args:
        root: project folder; paths of settings are resolved under it.
        labels: the closed set; empty for free text.
        training: rows of the training split.
    """

    root: Path
    labels: tuple[str, ...] = ()
    training: Sequence[Example] = field(default=(), repr=False)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word of the training rows, folded: a slip that gives one of them has made another word."""
        texts = (message.content for row in self.training for message in row.messages)
        return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))


Opened = Callable[[Example, str], list[Edit]]
"""(row, text of its last question) -> edits that could be made, each alone or several together; always the same."""


class Attack(Protocol):
    """A way of changing questions. A cheap value; `open` reads what it needs.

    `edits`, `characters` and `queries` are its budget for one row: most edits made together, most characters put in
    or taken out, most questions to the model while searching.
    """

    level: ClassVar[Level]
    edits: int
    characters: int
    queries: int

    def open(self, known: Known) -> Opened:
        """The function that lists the edits of one question.

        Raises:
            UserError: a file that the settings name cannot be used.
        """
        ...


def question_place(row: Example) -> int | None:
    """Index of the last user turn in the row's prompt; None where nobody asks."""
    return max((i for i, turn in enumerate(row.prompt) if turn.role == "user"), default=None)


def with_question(row: Example, text: str) -> tuple[Message, ...]:
    """The row's prompt with `text` as its last user turn."""
    turns, place = list(row.prompt), question_place(row)
    if place is not None:
        turns[place] = turns[place].model_copy(update={"content": text})
    return tuple(turns)


def around(text: str, new: str, demand: str = "") -> list[Edit]:
    """`new` as a paragraph of its own before the text, and after it."""
    return [Edit(0, 0, f"{new}\n\n", demand), Edit(len(text), len(text), f"\n\n{new}", demand)]


def sentence_ends(text: str) -> list[int]:
    """Places behind a sentence inside the text, where another could stand."""
    return [match.end() for match in _END.finditer(text)]


_WORD = re.compile(r"[^\W\d_]+")
_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])(?=\S)|\n+(?=\S)")
