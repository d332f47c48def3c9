"""How predictions are made: packed and cut at the border where the model allows it, one row at a time where not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tunesmith.models.trunk import Trunk, base_model
from tunesmith.tune.batches import Batch, Row, make_batch, shared_prefix
from tunesmith.tune.objective import Predictions

PROBE_ROWS = 2
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""How far packed logits may be from plain ones, as a share of their largest value: rounding, not another result."""


class Forward(Protocol):
    """Makes the predictions of a micro-batch."""

    @property
    def name(self) -> str:
        """How it works, in a word."""
        ...

    def predictions(self, batch: Batch) -> Predictions:
        """Hidden states at the trained positions, with gradient down to the lowest trained weight."""
        ...


@dataclass(frozen=True)
class PackedForward:
    """All rows in one sequence; the frozen bottom read from where its states are kept, or run without gradient.

    Args:
        trunk: the model in two halves.
        states: gives a batch's states at the border [1, T, D]; None: they are computed each time.
    """

    trunk: Trunk
    states: Callable[[Batch], Tensor] | None = None
    name: str = "packed"

    def predictions(self, batch: Batch) -> Predictions:
        """See `Forward`."""
        device = next(self.trunk.model.parameters()).device
        if self.trunk.border == 0:
            hidden = self.trunk.whole(batch.ids.to(device), batch.layout)
        else:
            kept = self.states is not None and min(batch.rows) >= 0
            bottom = self.states(batch) if kept else self.trunk.bottom(batch.ids.to(device), batch.layout)  # type: ignore[misc]
            hidden = self.trunk.top(bottom.to(device), batch.layout)
        layout = batch.layout
        spans = tuple((start, start + own) for start, own in zip(layout.starts, layout.lengths, strict=True))
        return Predictions(hidden[0], batch.sources.to(device), batch, spans, layout.prefix, self.trunk.head)


@dataclass(frozen=True)
class PlainForward:
    """The model's own forward on one row after the other: slow, and right for every causal LM.

    Args:
        model: a causal LM of Transformers.
    """

    model: Any
    name: str = "plain"

    def predictions(self, batch: Batch) -> Predictions:
        """See `Forward`; the states are the logits themselves."""
        device = next(self.model.parameters()).device
        parts, sources, spans, start = [], [], [], 0
        for row in batch.items:
            ids = torch.tensor([row.read], device=device)
            parts.append(self.model(input_ids=ids, use_cache=False).logits[0])
            sources += [start + place - 1 for place in row.trained]
            spans.append((start, start + len(row.read)))
            start += len(row.read)
        places = torch.tensor(sources, device=device)
        return Predictions(torch.cat(parts), places, batch, tuple(spans), 0, torch.nn.Identity())


@contextlib.contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """The model without dropout and without activation checkpointing inside the block."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def probe(rows: Sequence[Row]) -> Batch:
    """The shortest rows, to try something with."""
    numbers = sorted(range(len(rows)), key=lambda n: (len(rows[n].ids), n))[:PROBE_ROWS]
    return make_batch(rows, numbers, shared_prefix([rows[number] for number in numbers]))


def choose_forward(model: Any, rows: Sequence[Row], *, pack: bool = True, cut: bool = True) -> tuple[Forward, str]:
    """The fastest forward that gives the same logits as the model's own, tried on the shortest rows.

    Args:
        model: a causal LM of Transformers, with or without a PEFT adapter in it.
        rows: rows that will be read.
        pack: False: one row after the other, whatever the model allows.
        cut: False: backward through all layers, the frozen bottom too.

    Returns:
        The forward, and in words why it is not the packed one ("" where it is).
    """
    plain = PlainForward(base_model(model))
    if not pack:
        return plain, ""
    batch = probe(rows)
    with torch.no_grad(), at_rest(model):  # dropout would make two runs of the same forward differ
        wanted = plain.predictions(batch).hidden_ND
        try:
            trunk = Trunk(model, cut=cut)
        except (ValueError, AttributeError) as error:
            return plain, f"this architecture cannot be run packed: {error}"
        packed = PackedForward(trunk)
        try:
            got = packed.predictions(batch)
            logits = got.head(got.hidden_ND).float()
        except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
            trunk.release()
            return plain, f"this architecture cannot be run packed: {error}"
    off = float((logits - wanted.float()).abs().max() / wanted.float().abs().max().clamp_min(1e-6))
    limit = TOLERANCE.get(wanted.dtype, 0.1)
    if not off <= limit:
        trunk.release()
        return plain, f"packed logits differ from the model's own by {off:.1%} (limit {limit:.1%})"
    return packed, ""
