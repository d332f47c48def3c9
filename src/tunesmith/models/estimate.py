"""How much memory and time a training run will take, said before it starts.

Pure functions of architecture numbers. Sizes are in units of 1e9 bytes (GB), operations in floating-point
operations (a multiply-add counts as two). What is left out: the file cache of the operating system, start-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from tunesmith.models.catalog import Entry
from tunesmith.models.nf4 import BYTES_PER_WEIGHT
from tunesmith.models.shape import Shape, shape_of_entry

GB = 1e9
RUNTIME_GB = 0.6
"""Python, torch and transformers [0.5 GB resident, measured on Linux without GPU]; a CUDA context is about as big."""

SAVED_ALLOWANCE = 1.1
"""torch's saved-tensor hooks count 11,788 numbers a token and layer at SmolLM2's shape; the formula gives 10,752."""

ALLOCATOR_SHARE = 0.05
"""What passing results and malloc's holes take beside the activations, as a share of them [measured, CPU, glibc]."""

ALLOCATOR_SHARE_INNER = 0.5
"""The same where adapters lie on the feed-forward part: their results are as wide as its inner layer [measured].

SmolLM2-135M, float32, about 1,000 tokens a micro-batch, two threads, peak of the process in GB: LoRA on all roles 3.25,
in the upper half 2.27, on query, key, value and output alone 2.69; layered 1.75; full 3.83.
"""

EFFICIENCY = 0.6
"""Share of the speed of plain matrix products that training reaches [measured: 1.4 to 1.65 times the least time]."""

ADAM_BYTES = 8
"""Two moments in float32."""

ROLES = ("query", "key", "value", "output", "gate", "up", "down")


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
        cached: whether the states at that border are kept, so that later epochs skip the layers below.
        adapter: whether the trained weights come beside the model's (LoRA) or are the model's own.
        checkpointing: whether activations are computed again in the backward pass.
        weight_bytes, compute_bytes: bytes of a frozen weight, and of a number in the forward pass.
        chunk: positions whose logits exist at once.
        allocator: what the allocator keeps back, as a share of the activations; 0 on a GPU.
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
    checkpointing: bool = False
    weight_bytes: float = 4
    compute_bytes: float = 4
    chunk: int = 256
    allocator: float = ALLOCATOR_SHARE
    slower: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """The prediction. `parts_gb` says what the memory is for and adds up to `memory_gb`; `tera` is 1e12 operations."""

    memory_gb: float
    minutes: float
    tera: float
    gflops: float
    parts_gb: dict[str, float]

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
    parts = memory_parts(shape, work)
    operations = training_operations(shape, work)
    minutes = work.slower * operations / (gflops * 1e9 * efficiency) / 60
    return Estimate(sum(parts.values()), minutes, operations / 1e12, gflops, parts)


def estimate_here(shape: Shape, work: Work) -> Estimate:
    """`estimate_training` on this machine: its GPU where it has one, else its processor, speed measured now."""
    from tunesmith.models.hardware import look, measured_gflops

    if look().gpus:
        return estimate_training(shape, replace(work, allocator=0.0), gflops=measured_gflops("cuda"))
    return estimate_training(shape, work, gflops=measured_gflops())


def training_operations(shape: Shape, work: Work) -> float:
    """Floating-point operations of the whole run.

    Per token, all layers: forward F = 2 body + layers A with A = row_tokens (query + mixed) for causal attention
    (two products over half of the row); per trained token, head: H = 2 vocabulary hidden.
    Forward: F and H. Backward, with u = share of the layers at or above `lowest`: input gradients
    u (2 body + 2 layers A) and H; weight gradients 2 for every trained weight of the body; with checkpointing
    one more forward of the share u. Epochs after the first run only the share u forward where the border is cached.
    At SmolLM2's shape this gives 30.2e12 for LoRA on 64,053 tokens, where 30.6e12 was counted.
    """
    upper = (shape.layers - work.lowest) / shape.layers
    attention = shape.layers * work.row_tokens * (shape.query + shape.mixed)
    forward = work.tokens * (2 * shape.body + attention)
    head = work.trained_tokens * 2 * shape.vocabulary * shape.hidden
    gradients = work.tokens * upper * (2 * shape.body + 2 * attention) + head
    gradients += work.tokens * 2 * min(work.trainable, shape.body)
    again = upper * forward if work.checkpointing else 0.0
    first, later = forward, upper * forward if work.cached else forward
    passes = min(1.0, work.epochs) * first + max(0.0, work.epochs - 1) * later
    return passes + work.epochs * (head + gradients + again)


def memory_parts(shape: Shape, work: Work) -> dict[str, float]:
    """What the memory of a run is for, in GB.

    weights: parameters x weight_bytes, and 4 bytes for each weight of an adapter.
    gradients: 4 bytes, optimizer: 8 bytes for each trained weight.
    activations: step_tokens x trained layers x `saved_numbers` x compute_bytes; with checkpointing the input of
    every trained layer (hidden) and what one layer saves. allocator: its share of these.
    logits: chunk x vocabulary x 4 bytes x 3 (logits, probabilities, gradient).
    """
    trained_layers = shape.layers - work.lowest
    saved = saved_numbers(shape) * SAVED_ALLOWANCE
    numbers = trained_layers * shape.hidden + saved if work.checkpointing else max(1, trained_layers) * saved
    activations = work.step_tokens * numbers * work.compute_bytes / GB
    return {
        "weights": (shape.parameters * work.weight_bytes + (4 * work.trainable if work.adapter else 0)) / GB,
        "gradients": 4 * work.trainable / GB,
        "optimizer": ADAM_BYTES * work.trainable / GB,
        "activations": activations,
        "allocator": work.allocator * activations,
        "logits": work.chunk * shape.vocabulary * 4 * 3 / GB,
        "runtime": RUNTIME_GB,
    }


def saved_numbers(shape: Shape) -> int:
    """Numbers that the backward pass of one layer needs per token.

    Two norms with input and output (4 hidden); query, key and value, and query and key once more after their
    rotation (2 query + 2 key + value); the attention's output (mixed); gate, its activation, up and their product
    (4 inner). After Korthikanti et al. 2022, equation 1, for a gated feed-forward part and without dropout.
    """
    return 4 * shape.hidden + 2 * shape.query + 2 * shape.key + shape.value + shape.mixed + 4 * shape.inner


def lora_parameters(shape: Shape, rank: int, *, roles: Iterable[str] = ROLES, layers: int | None = None) -> int:
    """Weights of a LoRA adapter: rank x (inputs + outputs) of every adapted matrix (Hu et al. 2021, section 4.1).

    Args:
        shape: the model; its feed-forward part counts as one dense matrix triple.
        rank: inner width of the adapter.
        roles: which matrices are adapted, names as in `ROLES`.
        layers: how many layers are adapted; all by default.
    """
    sizes = {
        "query": shape.hidden + shape.query,
        "key": shape.hidden + shape.key,
        "value": shape.hidden + shape.value,
        "output": shape.mixed + shape.hidden,
        "gate": shape.hidden + shape.inner,
        "up": shape.hidden + shape.inner,
        "down": shape.inner + shape.hidden,
    }
    return rank * sum(sizes[role] for role in roles) * (shape.layers if layers is None else layers)


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
        allocator=0,
    )
    return sum(memory_parts(shape, work).values())
