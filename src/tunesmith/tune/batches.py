"""From rows of tokens to packed micro-batches, in an order that follows from the seed and the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.types import Split

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.models.packing import Layout

LEVELS = 10
"""Levels of difficulty of a curriculum; inside a level the order is random."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenised row.

    Args:
        id: of the example.
        ids: its tokens, cut to the context.
        trained: places of the trained tokens, ascending; the first token of a row is never one.
        part: which terms read it: `supervised`, `text` (continued pre-training), `rejected` (the worse answer of a
            pair), `general` (what must not be forgotten), `sampled` (an answer that the model gave while training).
        about: what a term must know of a `sampled` row.
    """

    id: str
    ids: tuple[int, ...]
    trained: tuple[int, ...]
    part: str = "supervised"
    about: Any = None

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that must be read: those before the last trained one, which is only ever an answer."""
        return self.ids[: self.trained[-1]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Packed rows, ready for the model.

    Args:
        rows: number of each row in the plan, in packed order; -1 for a row that was made while training.
        items: the rows themselves.
        ids: [1, T] the packed sequence.
        layout: its borders.
        sources: [N] place in the packed sequence that predicts each trained token.
        targets: [N] the trained tokens.
        row_of: [N] place in `rows` of the row that each trained token belongs to.
        tokens: tokens of the rows, each row counted in full.
    """

    rows: tuple[int, ...]
    items: tuple[Row, ...]
    ids: Tensor
    layout: Layout
    sources: Tensor
    targets: Tensor
    row_of: Tensor
    tokens: int


@dataclass(frozen=True)
class Step:
    """One optimiser step as a whole, however it is cut into micro-batches and spread over processes.

    Args:
        number: counted from 0.
        steps: of the whole training.
        items: all its rows.
    """

    number: int
    steps: int
    items: tuple[Row, ...]

    def tokens(self, parts: Iterable[str]) -> int:
        """Trained tokens of rows of these parts."""
        wanted = frozenset(parts)
        return sum(len(row.trained) for row in self.items if row.part in wanted)

    def rows(self, parts: Iterable[str]) -> int:
        """Number of rows of these parts."""
        wanted = frozenset(parts)
        return sum(row.part in wanted for row in self.items)


def read_rows(
    path: Path, split: Split, parts: Iterable[str] = ("supervised",), *, judged: bool | None = None
) -> list[Row]:
    """The rows of one split of `rows.parquet` that have something to train, in the file's order.

    Args:
        path: the file.
        split: rows of this split.
        parts: rows of these parts.
        judged: rows that do, or do not, belong to a pair or have a verdict; None: all.
    """
    import pyarrow.parquet as pq

    wanted, rows = frozenset(parts), []
    with pq.ParquetFile(path) as file:  # not `read_table`: what filters there loads pandas
        for batch in file.iter_batches(columns=["id", "ids", "trained", "part", "split", "judged"]):
            column = {name: batch.column(name) for name in batch.schema.names}
            told = zip(*(column[name].to_pylist() for name in ("split", "part", "judged")), strict=True)
            for number, (its_split, part, its_judged) in enumerate(told):
                if its_split != split or part not in wanted or judged not in (None, its_judged):
                    continue
                trained = enumerate(column["trained"][number].as_py())
                places = tuple(place for place, carries in trained if carries and place > 0)
                if places:
                    ids = tuple(column["ids"][number].as_py())
                    rows.append(Row(column["id"][number].as_py(), ids, places, part))
    return rows


def last_turn(row: Row) -> Row:
    """`row` with only its last trained turn trained: what a preference or a verdict is about."""
    first = len(row.trained) - 1
    while first and row.trained[first - 1] == row.trained[first] - 1:
        first -= 1
    return replace(row, trained=row.trained[first:])


def shared_prefix(rows: Sequence[Row]) -> int:
    """Length of the longest start that all rows have in common, outside every row's trained tokens.

    At least one read token of each row is left after it.
    """
    if not rows:
        return 0
    limit = min(min(row.trained[0], len(row.read) - 1) for row in rows)
    first = rows[0].ids
    for place in range(limit):
        if any(row.ids[place] != first[place] for row in rows):
            return place
    return max(limit, 0)


def begins_alike(row: Row, other: Row, prefix: int) -> bool:
    """Whether `row` can be packed behind the first `prefix` tokens of `other`."""
    return row.ids[:prefix] == other.ids[:prefix] and row.trained[0] >= prefix and len(row.read) > prefix


def make_batch(rows: Sequence[Row], numbers: Sequence[int], prefix: int) -> Batch:
    """Pack `rows[n] for n in numbers`, whose first `prefix` tokens are the same."""
    return pack_rows([rows[number] for number in numbers], prefix, numbers=numbers)


def pack_rows(chosen: Sequence[Row], prefix: int, *, numbers: Sequence[int] | None = None) -> Batch:
    """Pack `chosen`, whose first `prefix` tokens are the same; without numbers they are rows of no plan."""
    import torch

    from tunesmith.models.packing import pack

    ids, layout = pack(chosen[0].ids[:prefix], [row.read[prefix:] for row in chosen])
    sources, targets, row_of = [], [], []
    for place_of_row, (start, row) in enumerate(zip(layout.starts, chosen, strict=True)):
        for place in row.trained:
            before = place - 1
            sources.append(before if before < prefix else start + before - prefix)
            targets.append(row.ids[place])
            row_of.append(place_of_row)
    return Batch(
        rows=tuple([-1] * len(chosen) if numbers is None else numbers),
        items=tuple(chosen),
        ids=ids,
        layout=layout,
        sources=torch.tensor(sources),
        targets=torch.tensor(targets),
        row_of=torch.tensor(row_of),
        tokens=sum(len(row.ids) for row in chosen),
    )


def order(rows: int, *, seed: int, epoch: int) -> list[int]:
    """A random order of row numbers that depends on the seed and the epoch only."""
    import torch

    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    numbers: list[int] = torch.randperm(rows, generator=generator).tolist()
    return numbers


@dataclass(frozen=True)
class Plan:
    """Which rows belong to which step.

    Steps are cut from the random order, so long and short rows meet by chance and nothing is biased by length; only
    inside a step are micro-batches made alike in tokens. The last step of an epoch may be smaller.

    Args:
        rows: all rows that can be in a step.
        rows_per_step: units of one optimiser step.
        epochs: passes over the units; the last may be a part of one.
        prefix: shared prefix in tokens.
        micro_tokens: most tokens of a micro-batch; a unit that is longer is one of its own.
        seed: of the order.
        units: numbers of the rows that must stay in one micro-batch (the two answers of a pair); None: each row is a
            unit of its own.
        replayed: numbers of general rows, `replay_rows` of which go along with every step, in an order of their own.
        replay_rows: see `replayed`.
        difficulty: of each unit, for a curriculum from easy to hard; None: random order.
        parts: processes that share each step; its micro-batches can be divided evenly among them.
    """

    rows: Sequence[Row]
    rows_per_step: int
    epochs: float
    prefix: int
    micro_tokens: int
    seed: int
    units: Sequence[tuple[int, ...]] | None = None
    replayed: Sequence[int] = ()
    replay_rows: int = 0
    difficulty: Sequence[float] | None = None
    parts: int = 1

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.rows) if self.units is None else len(self.units)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the units."""
        return -(-self.count // self.rows_per_step)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training; at least one."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    def chosen(self, step: int) -> list[tuple[int, ...]]:
        """The units of step `step`, counted from 0, without what is replayed."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.rows_per_step
        numbers = self._order(epoch)[start : start + self.rows_per_step]
        return [(number,) if self.units is None else tuple(self.units[number]) for number in numbers]

    def numbers(self, step: int) -> list[int]:
        """Row numbers of step `step`, replayed rows last."""
        own = [number for unit in self.chosen(step) for number in unit]
        return own + self._replayed(step)

    def work(self, step: int, micro_tokens: int | None = None) -> tuple[Step, list[Batch]]:
        """Step `step` and its micro-batches, of at most `micro_tokens` tokens where that is given."""
        units = [*self.chosen(step), *((number,) for number in self._replayed(step))]
        limit = micro_tokens or self.micro_tokens
        cut = even_units(self.rows, units, self.prefix, limit, parts=self.parts)
        batches = [make_batch(self.rows, part, self.prefix) for part in cut]
        items = tuple(self.rows[number] for unit in units for number in unit)
        return Step(step, self.steps, items), batches

    def costs(self) -> list[float]:
        """What every step reads, in packed tokens: its rows' own, and the prefix once for each micro-batch."""
        return [own + self.prefix * self._micro_batches(own) for own in self._own_tokens()]

    def largest_micro_batch(self) -> int:
        """Packed tokens of the largest micro-batch, as even as they can be; a unit that is longer is one of its own."""
        longest = max((sum(self._own(number) for number in unit) for unit in self._units()), default=0)
        evenly = max((own / self._micro_batches(own) for own in self._own_tokens()), default=0.0)
        return self.prefix + math.ceil(max(longest, evenly))

    def _own_tokens(self) -> list[float]:
        """Of every step: the tokens of its rows beyond the prefix."""
        units = [sum(self._own(number) for number in unit) for unit in self._units()]
        replayed = self.replay_rows * sum(map(self._own, self.replayed)) / max(1, len(self.replayed))
        found: list[float] = []
        for epoch in range(-(-self.steps // max(1, self.steps_per_epoch))):
            numbers = self._order(epoch)
            for start in range(0, self.count, self.rows_per_step):
                found.append(replayed + sum(units[number] for number in numbers[start : start + self.rows_per_step]))
        return found[: self.steps]

    def _own(self, number: int) -> int:
        return len(self.rows[number].read) - self.prefix

    def _units(self) -> Sequence[tuple[int, ...]]:
        return [(number,) for number in range(len(self.rows))] if self.units is None else self.units

    def _micro_batches(self, own: float) -> int:
        """How many micro-batches a step of so many own tokens takes."""
        return self.parts * max(1, math.ceil(own / (self.parts * max(1, self.micro_tokens - self.prefix))))

    def _order(self, epoch: int) -> list[int]:
        numbers = order(self.count, seed=self.seed, epoch=epoch)
        if self.difficulty is None:
            return numbers
        ranked = sorted(range(self.count), key=lambda number: (self.difficulty[number], number))  # type: ignore[index]
        level = {number: place * LEVELS // self.count for place, number in enumerate(ranked)}
        return sorted(numbers, key=lambda number: level[number])  # stable: inside a level the order stays random

    def _replayed(self, step: int) -> list[int]:
        if not self.replayed:
            return []
        first, count = step * self.replay_rows, len(self.replayed)
        places = range(first, first + self.replay_rows)
        passes = {place // count for place in places}
        orders = {number: order(count, seed=self.seed + 1, epoch=number) for number in passes}
        return [self.replayed[orders[place // count][place % count]] for place in places]


def cut_batches(rows: Sequence[Row], numbers: Sequence[int], prefix: int, at_most_tokens: int) -> list[Batch]:
    """The rows with these numbers in packed batches; see `micro_batch_units`."""
    return [make_batch(rows, part, prefix) for part in micro_batch_numbers(rows, numbers, prefix, at_most_tokens)]


def micro_batch_numbers(
    rows: Sequence[Row], numbers: Sequence[int], prefix: int, at_most_tokens: int
) -> list[list[int]]:
    """`micro_batch_units` for rows that may be parted."""
    return micro_batch_units(rows, [(number,) for number in numbers], prefix, at_most_tokens)


def micro_batch_units(
    rows: Sequence[Row], units: Sequence[tuple[int, ...]], prefix: int, at_most_tokens: int
) -> list[list[int]]:
    """The rows of `units` by length, in parts of at most `at_most_tokens` packed tokens, or of one longer unit."""
    cut: list[list[int]] = []
    filled = 0

    def own(unit: tuple[int, ...]) -> int:
        return sum(len(rows[number].read) - prefix for number in unit)

    for unit in sorted(units, key=lambda unit: (own(unit), unit)):
        if not cut or filled + own(unit) > at_most_tokens:
            cut.append([])
            filled = prefix
        cut[-1].extend(unit)
        filled += own(unit)
    return cut


def even_units(
    rows: Sequence[Row], units: Sequence[tuple[int, ...]], prefix: int, at_most_tokens: int, *, parts: int
) -> list[list[int]]:
    """Like `micro_batch_units`, in a multiple of `parts` micro-batches of about the same number of tokens.

    Even ones need the least memory, since the largest decides it, and a small rest would be slow. The longest unit
    goes first, each into the emptiest micro-batch (Graham 1969: the fullest has at most 4/3 of the tokens that the
    best way would give it). There are fewer micro-batches where there are fewer units.
    """
    own = {unit: sum(len(rows[number].read) - prefix for number in unit) for unit in units}
    ordered = sorted(units, key=lambda unit: (-own[unit], unit))
    room = max(1, at_most_tokens - prefix)
    count = parts * max(1, -(-sum(own.values()) // (parts * room)))
    while True:
        cut: list[list[int]] = [[] for _ in range(min(count, len(units)))]
        filled = [0] * len(cut)
        for unit in ordered:
            place = filled.index(min(filled))
            cut[place].extend(unit)
            filled[place] += own[unit]
        if len(cut) == len(units) or max(filled, default=0) <= room:
            return cut
        count += parts
