"""What benchmarks share: an outcome of pairs, how it is told, and the rows of the medical-coding recipe.

Times of one run on one machine say little: others work on it, it throttles, caches warm up. So two ways of doing the
same work are run in turn (A B A B ...), each round gives one ratio, and the median of the ratios is told with their
spread. There is no threshold to pass.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from statistics import median

from tunesmith.core.types import Message
from tunesmith.project.recipes.medical_coding import diagnoses, system_prompt

ROW_SEED = 0


@dataclass
class Outcome:
    """Rounds of one benchmark.

    Args:
        unit: of the rates.
        theirs_is: what we are compared with, in a few words.
        ours, theirs: one rate a round; more is better.
        notes: what else must be known, above all whether both did the same work.
    """

    unit: str
    theirs_is: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The rates, the ratio and the notes as lines."""
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        lines = [
            f"  {'tunesmith':<28} {_spread(self.ours)} {self.unit}",
            f"  {self.theirs_is:<28} {_spread(self.theirs)} {self.unit}",
            f"  {'ratio of a round':<28} {_spread(ratios)}",
        ]
        return "\n".join(lines + [f"  {note}" for note in self.notes])


def _spread(values: list[float]) -> str:
    digits = 2 if median(values) < 100 else 0
    return (
        f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f}, {len(values)} rounds)"
    )


def conversations(count: int) -> list[tuple[Message, ...]]:
    """`count` conversations of the recipe, drawn by a fixed seed: system prompt, diagnosis, chapter."""
    system = Message(role="system", content=system_prompt())
    rows = random.Random(ROW_SEED).sample(diagnoses(), count)
    return [
        (system, Message(role="user", content=r.diagnosis), Message(role="assistant", content=r.chapter)) for r in rows
    ]
