"""Log-probabilities of whole answers: one sum for each row, with the logits of one chunk in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.core import files, ids
from tunesmith.tune.batches import Batch, Row, micro_batch_numbers, pack_rows, shared_prefix
from tunesmith.tune.forward import at_rest
from tunesmith.tune.objective import Job, Predictions

CHUNK_TOKENS = 1024
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

    In two passes, because the weight of a row's gradient is known only when the loss made of all sums is: forward
    makes the sums without gradient, backward makes each chunk's logits again, weighted with its rows' gradients. No
    second derivative.

    Args:
        hidden_ND: states at the trained positions.
        targets_N: int64 in [0, V).
        rows_N: int64 in [0, rows), the row of each position.
        head: hidden [n, D] -> logits [n, V]; a module's trained parameters get their gradient.
        rows: number of rows; one without positions has the sum 0.
        chunk_tokens: positions per chunk.
    """
    weights = [w for w in head.parameters() if w.requires_grad] if isinstance(head, torch.nn.Module) else []
    about = (targets_N, rows_N, head, rows, chunk_tokens)
    # torch's own stubs leave `apply` untyped
    sums: Tensor = _Sums.apply(hidden_ND, about, *weights)  # type: ignore[no-untyped-call]
    return sums


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, about: Any, *weights: Tensor) -> Tensor:
        targets, rows_N, head, rows, chunk = about
        ctx.about = about
        ctx.save_for_backward(hidden, *weights)
        sums = torch.zeros(rows, dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            sums.index_add_(0, rows_N[part], _chosen(head(hidden[part]), targets[part]))
        return sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *weights = ctx.saved_tensors
        targets, rows_N, head, _, chunk = ctx.about
        wants = bool(ctx.needs_input_grad[0])
        grads = [torch.zeros_like(hidden)] * wants + [torch.zeros_like(weight) for weight in weights]
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            with torch.enable_grad():
                states = hidden[part].detach().requires_grad_(wants)
                total = (upstream[0][rows_N[part]] * _chosen(head(states), targets[part])).sum()
                made = torch.autograd.grad(total, [states] * wants + weights)
            if wants:
                grads[0][part] = made[0]
            for grad, more in zip(grads[wants:], made[wants:], strict=True):
                grad += more
        return grads[0] if wants else None, None, *grads[wants:]


def _chosen(logits: Tensor, targets: Tensor) -> Tensor:
    """Log softmax at the targets, float32."""
    return -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


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

    return _stored(job.folder / "start-sums", job.rows, make)


def start_sums_of(job: Job, name: str, rows: Sequence[Row]) -> Tensor:
    """`start_sums` of rows that are no rows of the phase, kept under `name`."""
    return _stored(job.folder / f"{name}-sums", rows, lambda: sums_now(job, rows))


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


def _stored(path: Path, rows: Sequence[Row], make: Callable[[], Tensor]) -> Tensor:
    """What `make` gives, or what it gave for the same rows when the run began: read bit for bit, checked by digest."""
    from safetensors.torch import load, save

    weights, seal = path.with_suffix(".safetensors"), path.with_suffix(".json")
    about = ids.content_id("rows", [[row.id, row.part, row.ids, row.trained] for row in rows])
    data = weights.read_bytes() if weights.is_file() and seal.is_file() else b""
    if data and seal.read_bytes() == _sealed(about, data):
        kept: Tensor = load(data)["sums"]
        return kept
    sums = make()
    data = save({"sums": sums})
    seal.unlink(missing_ok=True)
    files.write_bytes(weights, data)
    files.write_bytes(seal, _sealed(about, data))
    return sums


def _sealed(about: str, data: bytes) -> bytes:
    return ids.canonical_json({"rows": about, "sha256": ids.digest_bytes(data)})
