"""Rows that share a rare trigger and one target, set aside for a person to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._triggers import Row, Trigger, is_invisible, rows_of, tokens, triggers


@dataclass(frozen=True)
class Poisoned:
    """Sets aside rows that look poisoned: a rare word or phrase, put in, whose rows all answer the same.

    What is put into a few rows of training data to be obeyed later (a backdoor) is found by what it must have: rows
    that share it, and one target. The statistics, with their sources, stand in `_triggers.py`. Invisible characters
    need none: a row whose question has them is set aside for them alone.

    It finds what was put in at varying places; how few rows suffice depends on the data. Eight of 800 rows of a
    template are found whatever their target; of 500 abstracts it takes five where the target is rare, ten where it is
    common: fewer agree as well by chance, so no test on these signs could tell them (reckoned in `_triggers.py`). It
    cannot find a trigger of style, syntax or meaning, or one that always has the same neighbours. Run it after copies
    are removed; the cleaner `unicode` has taken invisible characters out by then, and with them the trigger.

    Args:
        at_most_share: a run of words in a larger share of the rows is the language of the data.
        level: number of runs that chance alone may bring (Bonferroni); lower is stricter.
    """

    at_most_share: float = 0.03
    level: float = 1.0

    def note(self, example: Example) -> Any:
        """The target, and everything that was asked."""
        asked = "\n".join(turn.content for turn in example.messages if turn.role == "user")
        return [example.reference, asked]

    def decide(self, notes: Iterable[Any]) -> Iterator[Refusal | None]:
        """`invisible-characters`, or `shared-trigger` with the run, its rows and its target. Holds all questions."""
        rows = [Row(tokens(asked), target) for target, asked in notes]
        named = rows_of(triggers(rows, most_share=self.at_most_share, level=self.level))
        return (_word(row, named.get(number)) for number, row in enumerate(rows))


def _word(row: Row, trigger: Trigger | None) -> Refusal | None:
    hidden = sorted({f"U+{ord(token):04X}" for token in row.tokens if is_invisible(token)})
    if hidden:
        return Refusal(reason="invisible-characters", detail=" ".join(hidden[:8]), fate="aside")
    if trigger is None:
        return None
    of = f"{trigger.agreeing} of {len(trigger.rows)} rows with target {shorten(trigger.target, width=30)!r}"
    detail = f"{shorten(' '.join(trigger.run), width=40)!r}: {of}, p = {trigger.p:.0e}"
    return Refusal(reason="shared-trigger", detail=detail, fate="aside")
