"""From rows of tokens to packed micro-batches, in an order that follows from the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.types import Split

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.models.packing import Layout


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenised row.

    Args:
        id: of the example.
        ids: its tokens, cut to the context.
        trained: places of the trained tokens, ascending; the first token of a row is never one.
    """

    id: str
    ids: tuple[int, ...]
    trained: tuple[int, ...]

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that must be read: those before the last trained one, which is only ever an answer."""
        return self.ids[: self.trained[-1]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Packed rows, ready for the model.

    Args:
        rows: numbers of the rows.
        ids: [1, T] the packed sequence.
        layout: its borders.
        sources: [N] place in the packed sequence that predicts each trained token.
        targets: [N] the trained tokens.
        tokens: tokens of the rows, each row counted in full.
    """

    rows: tuple[int, ...]
    ids: Tensor
    layout: Layout
    sources: Tensor
    targets: Tensor
    tokens: int


def read_rows(path: Path, split: Split) -> list[Row]:
    """The rows of one split of `rows.parquet` that have something to train, in the file's order."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "ids", "trained"], filters=[("split", "=", split)])
    rows = []
    for line in table.to_pylist():
        places = tuple(place for place, trained in enumerate(line["trained"]) if trained and place > 0)
        if places:
            rows.append(Row(line["id"], tuple(line["ids"]), places))
    return rows


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
    import torch

    from tunesmith.models.packing import pack

    chosen = [rows[number] for number in numbers]
    ids, layout = pack(chosen[0].ids[:prefix], [row.read[prefix:] for row in chosen])
    sources, targets = [], []
    for start, row in zip(layout.starts, chosen, strict=True):
        for place in row.trained:
            before = place - 1
            sources.append(before if before < prefix else start + before - prefix)
            targets.append(row.ids[place])
    return Batch(
        rows=tuple(numbers),
        ids=ids,
        layout=layout,
        sources=torch.tensor(sources),
        targets=torch.tensor(targets),
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
    inside a step are rows of similar length put into the same micro-batch. The last step of an epoch may be smaller.

    Args:
        rows: the training rows.
        rows_per_step: rows of one optimiser step.
        epochs: passes over the data; the last may be a part of one.
        prefix: shared prefix in tokens.
        micro_tokens: most tokens of a micro-batch; a row that is longer is one of its own.
        seed: of the order.
    """

    rows: Sequence[Row]
    rows_per_step: int
    epochs: float
    prefix: int
    micro_tokens: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the rows."""
        return -(-len(self.rows) // self.rows_per_step)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training; at least one."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    def numbers(self, step: int) -> list[int]:
        """Row numbers of step `step`, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.rows_per_step
        return order(len(self.rows), seed=self.seed, epoch=epoch)[start : start + self.rows_per_step]

    def batches(self, step: int) -> list[Batch]:
        """The micro-batches of step `step`."""
        return cut_batches(self.rows, self.numbers(step), self.prefix, self.micro_tokens)


def cut_batches(rows: Sequence[Row], numbers: Sequence[int], prefix: int, at_most_tokens: int) -> list[Batch]:
    """The rows with these numbers in packed batches; see `micro_batch_numbers`."""
    return [make_batch(rows, part, prefix) for part in micro_batch_numbers(rows, numbers, prefix, at_most_tokens)]


def micro_batch_numbers(
    rows: Sequence[Row], numbers: Sequence[int], prefix: int, at_most_tokens: int
) -> list[list[int]]:
    """`numbers` by length of row, in parts of at most `at_most_tokens` packed tokens, or of one longer row."""
    cut: list[list[int]] = []
    filled = 0
    for number in sorted(numbers, key=lambda n: (len(rows[n].read), n)):
        own = len(rows[number].read) - prefix
        if not cut or filled + own > at_most_tokens:
            cut.append([])
            filled = prefix
        cut[-1].append(number)
        filled += own
    return cut
