"""What terms of the objective hold and do beside the steps: one line a term, formulas from what the term's file says.

A term that is not in the table makes logits of the trained positions in every step, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith.models.estimate import (
    ADAM_BYTES,
    GB,
    GRADIENT_BYTES,
    LOGIT_BYTES,
    MASTER_BYTES,
    Kept,
    Work,
    attention_operations,
    reading_operations,
    role_weights,
    saved_numbers,
)
from tunesmith.tune.objective import weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunesmith.models.shape import Shape
    from tunesmith.tune.batches import Row
    from tunesmith.tune.workload import Workload

READ_AT_ONCE = 8192
"""Tokens of a batch that is run without gradient (`states.BATCH_TOKENS`, `sequence.BATCH_TOKENS`)."""

CHUNK = 1024
"""Positions whose logits a term has in memory at once, where it is not told otherwise."""


@dataclass
class Extra:
    """What comes beside the steps themselves.

    Args:
        heads: how often a step makes the logits of its trained positions.
        chunk: positions whose logits exist at once.
        once: part -> operations that are done once; a part that two terms share is done once.
        held: part -> GB held during the steps.
        moments: moment -> part -> GB, of what is no step and may need more than one.
        disk: part -> GB on the disk.
    """

    heads: int = 0
    chunk: int = 0
    once: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    moments: dict[str, dict[str, float]] = field(default_factory=dict)
    disk: dict[str, float] = field(default_factory=dict)

    def add(self, other: Extra) -> None:
        """Take `other` in."""
        self.heads, self.chunk = self.heads + other.heads, max(self.chunk, other.chunk)
        for mine, its in ((self.once, other.once), (self.held, other.held), (self.disk, other.disk)):
            mine.update({name: max(value, mine.get(name, 0.0)) for name, value in its.items()})
        self.moments.update(other.moments)


@dataclass(frozen=True)
class Case:
    """What a term is asked about.

    Args:
        shape: the model.
        work: what the strategy trains.
        load: the phase's rows.
        general: the general rows, whether or not they go along with the steps.
        settings: of the term.
    """

    shape: Shape
    work: Work
    load: Workload
    general: Sequence[Row]
    settings: Mapping[str, Any]

    def reading(self, rows: Sequence[Row], *, head: bool = True) -> float:
        """Operations of one pass over `rows`, with logits at their trained positions."""
        tokens, mean = _tokens(rows), _tokens(rows) / max(1, len(rows))
        body = reading_operations(self.shape, tokens, row_tokens=mean)
        return body + head * _trained(rows) * 2 * self.shape.vocabulary * self.shape.hidden

    @property
    def moved(self) -> int:
        """Numbers of the base's matrices that training moves."""
        if not self.work.adapter:
            return self.work.trainable
        return sum(some.layers * role_weights(self.shape, some.roles) for some in self.work.kept)


def extras(objective: Sequence[Any], case: Case) -> Extra:
    """What all terms of `objective` hold and do."""
    found = Extra()
    for name, _, settings in map(weighted, objective):
        chunk = int(settings.get("chunk_tokens", CHUNK))
        told = _TABLE.get(name, _steps_only)(replace(case, settings=settings))
        found.add(told)
        found.chunk = max(found.chunk, chunk if told.heads else 0)
    return found


def _steps_only(case: Case) -> Extra:
    return Extra(heads=1)


def _alignment(case: Case) -> Extra:
    """The centroid: one pass over the phase's rows, no logits."""
    return Extra(once={"centroid": case.reading(case.load.plan.rows, head=False)}, moments=_reading(case))


def _reference(case: Case) -> Extra:
    """DPO, KTO: log-probabilities of all rows under the weights the phase begins with, one number a row kept."""
    return Extra(heads=1, once={"reference": case.reading(case.load.plan.rows)}, moments=_reading(case))


def _kto(case: Case) -> Extra:
    """The same, once more for the answers that are crossed with other prompts (Ethayarajh et al. 2024, section 4.1)."""
    found = _reference(case)
    found.once["crossed answers"] = case.reading(case.load.plan.rows)
    return found


def _teacher(case: Case) -> Extra:
    """One pass; k ids and k + 1 log-probabilities of 4 bytes a position are stored, or `hidden` states (top: all)."""
    top, on = case.settings.get("top", 64), case.settings.get("on", "trained")
    rows = [row for row in case.load.plan.rows if on == "both" or (row.part == "general") == (on == "general")]
    numbers = case.shape.hidden if top == "all" else 2 * top + 1
    stored = _trained(rows) * numbers * 4 / GB
    return Extra(
        heads=2 if top == "all" else 1,
        once={"teacher": case.reading(rows)},
        held={"teacher": stored},
        moments=_reading(case),
        disk={"teacher": stored},
    )


def _l2_sp(case: Case) -> Extra:
    """A copy of the model's own trained weights; an adapter's are told from the base beside it."""
    copy = 0.0 if case.work.adapter else case.work.trainable * case.work.weight_bytes / GB
    return Extra(held={"anchor": copy}, moments=_penalty(case, {"anchor": copy}))


def _ewc(case: Case) -> Extra:
    """The Fisher: 4 bytes for every number that is moved; made row by row, with one backward pass a draw.

    Of a general row: one forward pass, and for each draw input gradients, weight gradients of every moved matrix, and
    three products of the head (labels, loss, gradient). See `terms.ewc` and `fisher`.
    """
    shape, work, rows = case.shape, case.work, case.general
    fisher = case.moved * 4 / GB
    found = _l2_sp(case)
    found.held["fisher"] = fisher
    found.moments["penalty"]["fisher"] = fisher
    found.disk["fisher"] = fisher
    mean = _tokens(rows) / max(1, len(rows))
    samples = case.settings.get("samples", 4)
    draws = shape.vocabulary * _trained(rows) / max(1, len(rows)) if samples == "all" else samples
    upper = (shape.layers - work.lowest) / shape.layers
    body = upper * (2 * shape.body + 2 * attention_operations(shape, mean)) + 2 * case.moved
    head = 3 * 2 * shape.vocabulary * shape.hidden * _trained(rows)
    found.once["fisher"] = case.reading(rows, head=False) + draws * (_tokens(rows) * body + head)
    longest = max((len(row.read) for row in rows), default=0)
    layers = Kept(shape.layers - work.lowest, norms=not work.adapter)
    found.moments["fisher"] = {
        "fisher": fisher + case.moved * GRADIENT_BYTES / GB,
        "activations": longest * layers.layers * saved_numbers(shape, layers) * work.compute_bytes / GB,
        "logits": min(CHUNK, longest) * shape.vocabulary * LOGIT_BYTES / GB,
    }
    return found


def _nothing(case: Case) -> Extra:
    """Replay: its rows are in the steps, and their logits with those of the others. Rewards: see `predict`."""
    return Extra()


_TABLE: dict[str, Callable[[Case], Extra]] = {
    "domain_alignment": _alignment,
    "teacher_consistency": _teacher,
    "dpo": _reference,
    "kto": _kto,
    "l2_sp": _l2_sp,
    "ewc": _ewc,
    "replay": _nothing,
    "policy_gradient": _nothing,
}


def ordered(case: Case) -> Extra:
    """A curriculum from easy to hard: the losses of all rows, the same pass as DPO's reference."""
    return Extra(once={"reference": case.reading(case.load.plan.rows)}, moments=_reading(case))


def _reading(case: Case) -> dict[str, dict[str, float]]:
    """The moment in which rows are run without gradient."""
    return {"reading": reading_parts(case.shape, _tokens(case.load.plan.rows), case.work.compute_bytes, head=True)}


def reading_parts(shape: Shape, tokens: float, compute_bytes: float, *, head: bool) -> dict[str, float]:
    """GB of a pass without gradient: the states, their norm, and the inner layer three times; logits of one chunk."""
    at_once = min(READ_AT_ONCE, tokens)
    return {
        "activations": at_once * (3 * shape.hidden + 3 * shape.inner) * compute_bytes / GB,
        "logits": head * min(CHUNK, at_once) * shape.vocabulary * 8 / GB,
    }


def _penalty(case: Case, held: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The moment in which a penalty's gradients are made: twice as many numbers as are trained, beside the step's."""
    own = case.work.trainable / GB
    parts = {"gradients": GRADIENT_BYTES * own, "optimizer": ADAM_BYTES * own, "penalty": 2 * MASTER_BYTES * own}
    return {"penalty": {**parts, **held}}


def _tokens(rows: Sequence[Row]) -> int:
    return sum(len(row.read) for row in rows)


def _trained(rows: Sequence[Row]) -> int:
    return sum(len(row.trained) for row in rows)
