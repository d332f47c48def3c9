"""Log-probabilities of whole answers: one sum for each row, with the logits of one chunk in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from tunesmith.core import ids
from tunesmith.tune.batches import Batch, Row, micro_batch_numbers, pack_rows, shared_prefix
from tunesmith.tune.forward import at_rest
from tunesmith.tune.objective import Job, Predictions
from tunesmith.tune.tokens_likelihood import CHUNK_TOKENS, token_log_probabilities
from tunesmith.tune.untrained import remembered

BATCH_TOKENS = 8192
"""Most packed tokens of a batch that is run without gradient."""


def sequence_sums(
    hidden_ND: Tensor,
    targets_N: Tensor,
    rows_N: Tensor,
    *,
    head: Callable[[Tensor], Tensor],
    rows: int,
    chunk_tokens: int = CHUNK_TOKENS,
) -> Tensor:
    """For each row b the sum over its n of log softmax(head(hidden_n))[target_n], float32 [rows].

    Args:
        hidden_ND: states at the trained positions.
        targets_N: int64 in [0, V).
        rows_N: int64 in [0, rows), the row of each position.
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        rows: number of rows; one without positions has the sum 0.
        chunk_tokens: positions per chunk.
    """
    tokens_N = token_log_probabilities(hidden_ND, targets_N, head, chunk_tokens=chunk_tokens)
    return tokens_N.new_zeros(rows).index_add(0, rows_N, tokens_N)


def answer_sums(predictions: Predictions, parts: Iterable[str], *, chunk_tokens: int = CHUNK_TOKENS) -> Tensor:
    """`sequence_sums` of the rows of `parts` in the micro-batch, [B]; 0 for the other rows."""
    hidden, targets, rows = predictions.of(parts)
    count = len(predictions.batch.items)
    return sequence_sums(hidden, targets, rows, head=predictions.head, rows=count, chunk_tokens=chunk_tokens)


def start_sums(job: Job) -> Tensor:
    """Log p(trained tokens) of every row of the phase under the weights it begins with, float32 [rows], dropout off.

    Computed once; what an interrupted run has left whole in `job.folder` is read. Which terms ask makes no difference.
    """

    def make() -> Tensor:
        batches = job.batches(range(len(job.rows)))
        return _in_order(job, batches, [number for batch in batches for number in batch.rows])

    return _remembered(job, "start-sums", job.rows, make)


def start_sums_of(job: Job, name: str, rows: Sequence[Row]) -> Tensor:
    """`start_sums` of rows that are no rows of the phase, kept under `name`."""
    return _remembered(job, f"{name}-sums", rows, lambda: sums_now(job, rows))


def sums_now(job: Job, rows: Sequence[Row]) -> Tensor:
    """Log p(trained tokens) of `rows` under the weights as they are now, float32 [rows], dropout off, no gradient.

    They need be no rows of the phase: they are packed without numbers, so no kept border states are read for them.
    """
    prefix = shared_prefix(rows)
    cut = micro_batch_numbers(rows, range(len(rows)), prefix, BATCH_TOKENS)
    batches = [pack_rows([rows[number] for number in part], prefix) for part in cut]
    return _in_order(job, batches, [number for part in cut for number in part])


def _in_order(job: Job, batches: Sequence[Batch], numbers: Sequence[int]) -> Tensor:
    """The sums of the rows in `batches`, put in the places that `numbers` names."""
    sums = torch.zeros(len(numbers), dtype=torch.float32)
    place = 0
    with torch.no_grad(), at_rest(job.model):
        for batch in batches:
            made = answer_sums(job.forward.predictions(batch), {row.part for row in batch.items})
            sums[list(numbers[place : place + len(made)])] = made.cpu()
            place += len(made)
    return sums


def _remembered(job: Job, name: str, rows: Sequence[Row], make: Callable[[], Tensor]) -> Tensor:
    """What `make` gives, or what it gave for the same rows when the phase began."""
    about = {"rows": ids.content_id("rows", [[row.id, row.part, row.ids, row.trained] for row in rows])}
    _, kept = remembered(job.folder, name, about, lambda: {"sums": make()})
    return kept["sums"].clone()  # small: no mapping of the file is kept open
