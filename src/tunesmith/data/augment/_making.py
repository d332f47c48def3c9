"""What all augmenters share: which rows they take, how often, by what chance; and the report of what was left out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import Field

from tunesmith.core.protocols import Context
from tunesmith.core.types import Example, Message
from tunesmith.data.children import child

Copies = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(gt=0, le=1)]
Likeness = Annotated[float, Field(ge=0, le=1)]

LONGEST = 20_000
"""Characters of a longest turn that is reworded; a longer one is a document, not a question."""

Rewrite = Callable[[str, random.Random], str]
Draft = tuple[Example, Example]


def dice_of(context: Context, name: str, row: Example, number: int = 0) -> random.Random:
    """The chance of one child: depends on seed, component, row and number of the copy, on nothing else."""
    return random.Random(f"{context.seed} {name} {row.id} {number}")


def chosen(rows: Iterable[Example], context: Context, name: str, share: float) -> Iterator[Example]:
    """About this share of the rows, each decided by its own dice."""
    for row in rows:
        if share >= 1 or dice_of(context, f"{name} share", row).random() < share:
            yield row


def unfit(row: Example) -> str:
    """Why a row is not reworded; empty where it can be.

    A text without an answer would be learnt as it stands, typos and all; a row with a verdict says that its answer is
    bad, or good, which a child does not carry on.
    """
    asked = [m.content for m in row.messages if m.role == "user"]
    if row.text is not None or not any(m.role == "assistant" for m in row.messages):
        return "without an answer"
    if row.desirable is not None:
        return "with a verdict"
    if not any(text.strip() for text in asked):
        return "without a question"
    if any(len(text) > LONGEST for text in asked):
        return f"over {LONGEST} characters"
    return "" if all(map(_is_sound, asked)) else "with characters that are no text"


def reworded(
    row: Example, rewrite: Callable[[str], str], *, attributes: dict[str, str] | None = None
) -> Example | None:
    """A child whose user turns were rewritten; None where none of them changed."""
    turns = [
        turn.model_copy(update={"content": rewrite(turn.content)}) if asks(turn) else turn for turn in row.messages
    ]
    return with_turns(row, turns, attributes=attributes)


def with_turns(row: Example, turns: Sequence[Message], *, attributes: dict[str, str] | None = None) -> Example | None:
    """A child with these turns and the parent's target and rejected turn; None where they are the parent's turns."""
    if tuple(turns) == row.messages:
        return None
    return child(row, turns, target=row.target, rejected=row.rejected, attributes=attributes or {})


def asks(turn: Message) -> bool:
    """Whether it is a turn of the user with something in it."""
    return turn.role == "user" and bool(turn.content.strip())


def copies_of(
    row: Example, make: Callable[[random.Random], Example | None], *, copies: int, dice: Callable[[int], random.Random]
) -> Iterator[Example]:
    """Up to `copies` children of a row, all different."""
    seen = {row.id}
    for number in range(copies):
        made = make(dice(number))
        if made is not None and made.id not in seen:
            seen.add(made.id)
            yield made


def tell(context: Context, name: str, why: Counter[str]) -> None:
    """One line that says how many rows have no child, and why."""
    if total := why.total():
        reasons = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
        context.events.tell("note", "data", f"{name}: {total} rows have no child: {reasons}", rows=dict(why))


def _is_sound(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
