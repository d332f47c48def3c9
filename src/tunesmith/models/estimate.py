"""How much memory and time a training run will take, said before it starts.

Pure functions of architecture numbers. Sizes are in units of 1e9 bytes (GB), operations in floating-point
operations (a multiply-add counts as two). What is left out: the file cache of the operating system, start-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.models.catalog import Entry
from tunesmith.models.nf4 import BYTES_PER_WEIGHT
from tunesmith.models.shape import Shape, shape_of_entry

GB = 1e9
RUNTIME_GB = 0.6
"""Python, torch and transformers [0.5 GB resident, measured on Linux without GPU]; a CUDA context is about as big."""

PASSING = 2.0
"""What passing results take on a processor, in layers: so many times what the largest layer keeps [measured]."""

HOLES, HOLES_INNER = 0.5, 0.75
"""Holes that glibc's malloc is left with where layers have adapters, as a share of what these layers keep; the second
where they lie on the feed-forward part. An adapted layer makes results of its full width three times over and keeps one
of them, and small states of the adapter between them keep the rest from being used for the next [measured, float32].

Fitted on 13 trainings (peak of the process in GB, predicted in brackets). SmolLM2-135M, 866 tokens: LoRA on all roles
3.25 (3.35), in the upper half 2.27 (2.34), on query, key, value and output 2.69 (2.67), layered 1.75 (1.86), full 3.83
(3.83). Random weights, 2,048 tokens, see tests/tune/test_tune_memory.py: eight more within 8 %. With every block mapped
by itself (MALLOC_MMAP_THRESHOLD_=65536) there are no holes, and the other parts alone are within 10 % of what is
taken (with checkpointing 20 %): what was missing was malloc's, not the formula's.
"""

EFFICIENCY = 0.6
"""Share of the speed of plain matrix products that training reaches [measured: 1.4 to 1.65 times the least time]."""

MASTER_BYTES = 4
"""A trained weight, an adapter's or the model's own, is kept in float32 whatever the arithmetic is in."""

GRADIENT_BYTES = 4
ADAM_BYTES = 8
"""Two moments in float32."""

LOGIT_BYTES = 12
"""Of one logit: itself, its probability and its gradient, in float32."""

ROLES = ("query", "key", "value", "output", "gate", "up", "down")


@dataclass(frozen=True)
class Kept:
    """Layers that keep the same numbers for their backward pass.

    Args:
        layers: how many.
        roles: matrices that are trained, or that an adapter lies beside: their inputs are needed.
        norms: whether the norms are trained.
        rank: of the adapters; their inner states are needed too.
    """

    layers: int
    roles: tuple[str, ...] = ROLES
    norms: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Work:
    """What is to be trained, on how much.

    Args:
        trainable: number of trained weights.
        tokens: tokens of one epoch, without padding; `trained_tokens`: those that carry loss.
        epochs: passes over the data.
        step_tokens: tokens that are in memory at once (one micro-batch).
        row_tokens: mean length of a row, for the cost of attention.
        lowest: lowest trained layer; the layers below it need no backward pass.
        cached: whether the states at that border are kept, so that the layers below are run once for the whole run.
        adapter: whether the trained weights come beside the model's (LoRA) or are the model's own.
        kept: what the trained layers keep; empty: all from `lowest` keep the inputs of every matrix.
        checkpointing: whether activations are computed again in the backward pass.
        weight_bytes, compute_bytes: bytes of a frozen weight, and of a number in the forward pass.
        chunk: positions whose logits exist at once.
        heads: terms of the objective that make logits of the trained positions, one after the other.
        valid: tokens and loss-carrying tokens of the validation rows, which each epoch ends with.
        malloc: whether memory comes from the processor's malloc, which keeps holes; False on a GPU.
        slower: what the time is multiplied with for work that is not counted in operations (unpacking 4-bit weights).
    """

    trainable: int
    tokens: int
    trained_tokens: int
    epochs: float = 1.0
    step_tokens: int = 1024
    row_tokens: int = 256
    lowest: int = 0
    cached: bool = False
    adapter: bool = True
    kept: tuple[Kept, ...] = ()
    checkpointing: bool = False
    weight_bytes: float = 4
    compute_bytes: float = 4
    chunk: int = 256
    heads: int = 1
    valid: tuple[int, int] = (0, 0)
    malloc: bool = True
    slower: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """The prediction. The parts say what memory and time are for and add up to them; `tera` is 1e12 operations."""

    memory_gb: float
    minutes: float
    tera: float
    gflops: float
    parts_gb: dict[str, float]
    parts_minutes: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def estimate_training(shape: Shape, work: Work, *, gflops: float, efficiency: float = EFFICIENCY) -> Estimate:
    """Memory and time of a training run.

    Args:
        shape: the model.
        work: what is trained.
        gflops: speed of matrix products on this machine in 1e9 operations a second (`measured_gflops()`).
        efficiency: share of that speed that training reaches.
    """
    parts, operations = memory_parts(shape, work), operation_parts(shape, work)
    minutes = minutes_of(operations, gflops=gflops * efficiency, slower=work.slower)
    total = sum(operations.values())
    return Estimate(sum(parts.values()), sum(minutes.values()), total / 1e12, gflops, parts, minutes)


def minutes_of(operations: Mapping[str, float], *, gflops: float, slower: float = 1.0) -> dict[str, float]:
    """Name -> minutes that so many operations take at `gflops`, those without any left out."""
    return {name: slower * count / (gflops * 1e9) / 60 for name, count in operations.items() if count}


def training_operations(shape: Shape, work: Work) -> float:
    """Floating-point operations of the whole run; see `operation_parts`."""
    return sum(operation_parts(shape, work).values())


def operation_parts(shape: Shape, work: Work) -> dict[str, float]:
    """What the operations of a run are for.

    Per token, all layers: forward F = 2 body + layers A with A = row_tokens (query + mixed) for causal attention
    (two products over half of the row); per trained token, head: H = 2 vocabulary hidden. u is the share of the layers
    at or above `lowest`.
    forward: u F (F where the border is not cached). border states: (1 - u) F, once, validation rows too.
    head: 2 H for each term that makes logits (the product and its input gradient).
    backward: input gradients u (2 body + 2 layers A), weight gradients 2 for every trained weight of the body.
    recomputation: u F, with checkpointing. validation: F and H of its rows after every epoch.
    At SmolLM2's shape this gives 30.2e12 for LoRA on 64,053 tokens, where 30.6e12 was counted.
    """
    upper = (shape.layers - work.lowest) / shape.layers
    forward = reading_operations(shape, work.tokens, row_tokens=work.row_tokens)
    valid = reading_operations(shape, work.valid[0], row_tokens=work.row_tokens)
    run_share = upper if work.cached else 1.0
    head = 2 * shape.vocabulary * shape.hidden
    backward = upper * (forward + work.tokens * attention_operations(shape, work.row_tokens))
    return {
        "border states": (1 - upper) * (forward + valid) if work.cached else 0.0,
        "forward": work.epochs * run_share * forward,
        "head": work.epochs * work.heads * 2 * work.trained_tokens * head,
        "backward": work.epochs * (backward + work.tokens * 2 * min(work.trainable, shape.body)),
        "recomputation": work.epochs * upper * forward if work.checkpointing else 0.0,
        "validation": work.epochs * (run_share * valid + work.valid[1] * head),
    }


def reading_operations(shape: Shape, tokens: float, *, row_tokens: float) -> float:
    """One forward pass over `tokens` tokens in rows of `row_tokens`, without the head."""
    return tokens * (2 * shape.body + attention_operations(shape, row_tokens))


def attention_operations(shape: Shape, row_tokens: float) -> float:
    """Scores and mixing of one token in all layers: two products, causal, so over half of the row."""
    return shape.layers * row_tokens * (shape.query + shape.mixed)


def memory_parts(shape: Shape, work: Work) -> dict[str, float]:
    """What the memory of a run is for, in GB.

    weights: parameters x weight_bytes, and for each weight of an adapter 4 bytes, and as many as a number of the
    products has where that is shorter: its rounded copy.
    master: the model's own trained weights in float32, where products are made with shorter copies of them, which
    `weights` counts (mixed precision: Micikevicius et al. 2018, arXiv:1710.03740, section 3.1).
    gradients: 4 bytes, optimizer: 8 bytes for each trained weight (Rajbhandari et al. 2020, ZeRO, section 3.1).
    activations: step_tokens x `saved_numbers` of every trained layer x compute_bytes; with checkpointing the input of
    every trained layer (hidden) and what one layer saves. allocator: passing results and malloc's holes, see `HOLES`;
    computing activations again leaves the same holes [measured].
    logits: chunk x vocabulary x 12 bytes.
    """
    own = 0 if work.adapter else work.trainable
    rounded = work.compute_bytes if work.compute_bytes < MASTER_BYTES else 0
    beside = (MASTER_BYTES + rounded) * work.trainable if work.adapter else 0
    a_number = work.step_tokens * work.compute_bytes / GB
    return {
        "weights": (shape.parameters * work.weight_bytes + beside) / GB,
        "master": (MASTER_BYTES * own if work.weight_bytes < MASTER_BYTES else 0) / GB,
        "gradients": GRADIENT_BYTES * work.trainable / GB,
        "optimizer": ADAM_BYTES * work.trainable / GB,
        "activations": _saved_in_all(shape, work) * a_number,
        "allocator": _passing_and_holes(shape, work) * a_number if work.malloc else 0.0,
        "logits": work.chunk * shape.vocabulary * LOGIT_BYTES / GB,
        "runtime": RUNTIME_GB,
    }


def _kept(shape: Shape, work: Work) -> tuple[Kept, ...]:
    return work.kept or (Kept(shape.layers - work.lowest),)


def _passing_and_holes(shape: Shape, work: Work) -> float:
    """Numbers a token that malloc holds beside what is kept."""
    total, largest = 0.0, 0
    for some in _kept(shape, work):
        inner = {"gate", "up", "down"} & {*some.roles}
        share = (HOLES_INNER if inner else HOLES) if some.rank else 0.0
        total += share * some.layers * saved_numbers(shape, some)
        largest = max(largest, saved_numbers(shape, some))
    return total + PASSING * largest


def _saved_in_all(shape: Shape, work: Work) -> float:
    """Numbers a token that all trained layers keep together."""
    kept = _kept(shape, work)
    one = [saved_numbers(shape, some) for some in kept]
    if work.checkpointing:
        return sum(some.layers for some in kept) * shape.hidden + max(one)
    return max(max(one), sum(some.layers * numbers for some, numbers in zip(kept, one, strict=True)))


def saved_numbers(shape: Shape, kept: Kept | None = None) -> int:
    """Numbers that the backward pass of one layer needs per token.

    Always: the inputs of both norms (2 hidden); query, key and value as attention takes them, and its output (mixed);
    gate, its activation and up (3 inner).
    Only where it is trained, or has an adapter: the input of a matrix (hidden for query, key and value together, and
    for gate and up; mixed once more for output, whose input is a copy in another order; inner for down), the normed
    states before a norm's weight (2 hidden), and the inner states of adapters (rank each).
    After Korthikanti et al. 2022, arXiv:2205.05198, equation 1, for a gated feed-forward part and without dropout.
    """
    kept = kept or Kept(1)
    numbers = 2 * shape.hidden + shape.query + shape.key + shape.value + shape.mixed + 3 * shape.inner
    numbers += shape.hidden * bool({"query", "key", "value"} & {*kept.roles})
    numbers += shape.hidden * bool({"gate", "up"} & {*kept.roles})
    numbers += shape.mixed * ("output" in kept.roles) + shape.inner * ("down" in kept.roles)
    return numbers + 2 * shape.hidden * kept.norms + kept.rank * len(kept.roles)


def role_weights(shape: Shape, roles: Iterable[str]) -> int:
    """Weights of the matrices with these roles in one layer; the feed-forward part counts as one dense triple."""
    return sum(inputs * outputs for inputs, outputs in (role_sizes(shape)[role] for role in roles))


def lora_parameters(shape: Shape, rank: int, *, roles: Iterable[str] = ROLES, layers: int | None = None) -> int:
    """Weights of a LoRA adapter: rank x (inputs + outputs) of every adapted matrix (Hu et al. 2021, section 4.1).

    Args:
        shape: the model; its feed-forward part counts as one dense matrix triple.
        rank: inner width of the adapter.
        roles: which matrices are adapted, names as in `ROLES`.
        layers: how many layers are adapted; all by default.
    """
    sizes = role_sizes(shape)
    return rank * sum(sum(sizes[role]) for role in roles) * (shape.layers if layers is None else layers)


def role_sizes(shape: Shape) -> dict[str, tuple[int, int]]:
    """Role -> (inputs, outputs) of its matrix in one layer; the feed-forward part counts as one dense triple."""
    return {
        "query": (shape.hidden, shape.query),
        "key": (shape.hidden, shape.key),
        "value": (shape.hidden, shape.value),
        "output": (shape.mixed, shape.hidden),
        "gate": (shape.hidden, shape.inner),
        "up": (shape.hidden, shape.inner),
        "down": (shape.inner, shape.hidden),
    }


def packed_bytes(shape: Shape, plain_bytes: float) -> float:
    """Mean bytes of a weight where linear layers are kept in 4 bits and the rest in `plain_bytes`.

    Args:
        shape: with its weights, see `shape.with_weights`.
        plain_bytes: bytes of a weight that is not packed.
    """
    packed = sum(weight.size for weight in shape.weights if weight.kind == "linear")
    whole = sum(weight.size for weight in shape.weights)
    return (packed * BYTES_PER_WEIGHT + (whole - packed) * plain_bytes) / whole


def adapter_memory_gb(entry: Entry, *, rank: int = 16, step_tokens: int = 2048, weight_bytes: float = 2) -> float:
    """Memory that LoRA on every role of a catalog model takes on a GPU: bfloat16 weights, checkpointing on.

    Raises:
        UserError: the catalog does not know the model's shape.
    """
    shape = shape_of_entry(entry)
    trainable = lora_parameters(shape, rank)
    work = Work(
        trainable=trainable,
        tokens=0,
        trained_tokens=0,
        step_tokens=step_tokens,
        checkpointing=True,
        weight_bytes=weight_bytes,
        compute_bytes=2,
        malloc=False,
    )
    return sum(memory_parts(shape, work).values())
