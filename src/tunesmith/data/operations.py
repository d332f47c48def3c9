"""What is done to single rows, one operation after the other, and the count of what became of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tunesmith.core.protocols import CorpusFilter, Filter
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.core.types import Drop, Example, Refusal, Tally
from tunesmith.data.cleaning import Cleaning
from tunesmith.data.spec import DataSpec

READ = "read"
SOURCES = Shelf("sources", "tunesmith.data.read")
CLEANERS = Shelf("cleaners", "tunesmith.data.clean")
FILTERS = Shelf("filters", "tunesmith.data.filter")
EXTRACTORS = Shelf("extractors", "tunesmith.data.extract")
AUGMENTERS = Shelf("augmenters", "tunesmith.data.augment")
SYNTHESIZERS = Shelf("synthesizers", "tunesmith.data.synthesize")


class Operation(Protocol):
    """One operation on one row."""

    @property
    def step(self) -> str:
        """Its name in drops and tallies."""
        ...

    def apply(self, example: Example) -> Example | Drop:
        """The very same row where nothing changed, else the changed one, or why it does not go on."""
        ...


@dataclass(frozen=True)
class Filtering:
    """One filter at work on rows."""

    step: str
    filter: Filter

    def apply(self, example: Example) -> Example | Drop:
        """The row as it is, or the drop."""
        refusal = self.filter.judge(example)
        return example if refusal is None else dropped(example, self.step, refusal)


def dropped(example: Example, step: str, refusal: Refusal) -> Drop:
    """The drop that a refusal makes of a row."""
    return Drop(place=example.place, step=step, byte=example.byte, **refusal.model_dump())


def row_operations(spec: DataSpec, labels: Sequence[str]) -> list[Operation]:
    """Cleaners, then filters of single rows, in the order of the project file."""
    fixed = frozenset(labels)
    cleaning = [Cleaning(step, CLEANERS.build(use), fixed) for step, use in named("clean", spec.clean)]
    filters = [(step, FILTERS.build(use)) for step, use in named("filter", spec.filter)]
    return [*cleaning, *(Filtering(step, found) for step, found in filters if hasattr(found, "judge"))]


def corpus_filters(spec: DataSpec) -> dict[str, CorpusFilter]:
    """Name of the operation -> filter, for those that look at all rows."""
    filters = {step: FILTERS.build(use) for step, use in named("filter", spec.filter)}
    return {step: found for step, found in filters.items() if not hasattr(found, "judge")}


def named(kind: str, uses: Iterable[Use]) -> list[tuple[str, Use]]:
    """(operation's name, component): `clean.html`; `clean.html.2` for the second one of the same name."""
    seen: Counter[str] = Counter()
    named = []
    for use in uses:
        seen[use.use] += 1
        step = f"{kind}.{use.use}"
        named.append((step if seen[use.use] == 1 else f"{step}.{seen[use.use]}", use))
    return named


@dataclass
class _Count:
    rows_in: int = 0
    made: int = 0
    kept: int = 0
    changed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    merged: Counter[str] = field(default_factory=Counter)


class Tallies:
    """Counts what became of each row at each operation, in the order in which operations were first met."""

    def __init__(self, steps: Iterable[str] = ()) -> None:
        self._counts = {step: _Count() for step in steps}

    def count(self, step: str, after: Example | Drop, *, changed: bool = False) -> None:
        """One row that `step` was given."""
        count = self._counts.setdefault(step, _Count())
        count.rows_in += 1
        if isinstance(after, Drop):
            (count.merged if after.fate == "merged" else count.dropped)[after.reason] += 1
        else:
            count.kept += 1
            count.changed += changed

    def add(self, tallies: Iterable[Tally]) -> None:
        """The counts of other rows."""
        for tally in tallies:
            count = self._counts.setdefault(tally.step, _Count())
            count.rows_in += tally.rows_in
            count.made += tally.made
            count.kept += tally.kept
            count.changed += tally.changed
            count.dropped.update(tally.dropped)
            count.merged.update(tally.merged)

    def all(self) -> tuple[Tally, ...]:
        """The counts so far."""
        return tuple(Tally(step=step, **_plain(count)) for step, count in self._counts.items())


def _plain(count: _Count) -> dict[str, Any]:
    return vars(count) | {"dropped": dict(sorted(count.dropped.items())), "merged": dict(sorted(count.merged.items()))}


def carried(
    item: Example | Drop, operations: Sequence[Operation], tallies: Tallies
) -> tuple[Example | Drop, Example | None]:
    """(what became of one row, the row as it was when it was dropped), counted."""
    tallies.count(READ, item)
    before = None
    for operation in operations:
        if isinstance(item, Drop):
            break
        before = item
        item = operation.apply(before)
        tallies.count(operation.step, item, changed=item is not before)
    return item, before
