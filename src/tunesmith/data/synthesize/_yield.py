"""What a maker asked for, made, kept and dropped: told when it ends, and kept beside its answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.core.files import read_json, write_json
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example, Refusal
from tunesmith.data.synthesize._asking import Spent
from tunesmith.data.synthesize._replies import Reply
from tunesmith.data.synthesize._teacher import Price

_STAGE = "data"
FILE = "yield.json"


@dataclass
class Yield:
    """The counts of one maker.

    Args:
        step: its name in drops: `synthesize.NAME`.
        sources: rows that it worked from; `asked`: rows that the teacher was asked for.
        kept: rows that passed the maker's own checks; dropped: reason -> rows that did not.
    """

    step: str
    sources: int = 0
    asked: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def keep(self, row: Example) -> Example:
        """The row, counted."""
        self.kept += 1
        return row

    def drop(self, parent: Example, refusal: Refusal) -> Drop:
        """Why a row that was made does not hold, counted; its place is that of the row it was made from."""
        self.dropped[refusal.reason] += 1
        return Drop(place=parent.place, step=self.step, reason=refusal.reason, detail=refusal.detail)

    def silent(self, parent: Example, reply: Reply) -> Drop:
        """The drop of a prompt that gave no rows: it was not answered, or there is nothing to be read in the answer."""
        if reply.failed:
            return self.drop(parent, Refusal(reason=reply.failed, detail=reply.detail))
        reason = (
            "empty-answer" if not reply.text.strip() else "cut-off" if reply.stop == "length" else "unreadable-answer"
        )
        return self.drop(parent, Refusal(reason=reason, detail=shorten(reply.text)))

    def told(self, spent: Spent | None, price: Price) -> dict[str, Any]:
        """All counts as JSON values; `seconds` is wall time and differs from one asking to the next."""
        made = self.kept + self.dropped.total()
        rows = {"sources": self.sources, "asked": self.asked, "made": made, "kept": self.kept}
        told = {"step": self.step, **rows, "dropped": dict(sorted(self.dropped.items()))}
        return told if spent is None else {**told, **spent.told(price)}

    def end(self, context: Context, spent: Spent | None = None, price: Price | None = None) -> None:
        """Tell what came of it, and keep that in `context.scratch` for `told_yield`."""
        told = self.told(spent, price or Price())
        write_json(context.scratch / FILE, told)
        context.events.tell("note", _STAGE, _line(told), **told)


def told_yield(scratch: Path) -> dict[str, Any] | None:
    """What `Yield.end` kept of the maker that worked with this folder; None where there is nothing."""
    return dict(read_json(scratch / FILE)) if (scratch / FILE).is_file() else None


def _line(told: dict[str, Any]) -> str:
    lost = ", ".join(f"{reason} {rows:,}" for reason, rows in told["dropped"].items())
    line = f"{told['step']}: {told['kept']:,} rows from {told['sources']:,}" + (f"; dropped: {lost}" if lost else "")
    if "cost" not in told:
        return line
    tokens = f"{told['prompt_tokens']:,} + {told['answer_tokens']:,} tokens"
    return (
        f"{line}; {told['prompts']:,} prompts, {tokens}, {told['cost']:.4g} {told['currency']}, {told['seconds']:g} s"
    )
