"""What a training takes that follows from strategy, precision and machine alone, before any row is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.errors import UserError
from tunesmith.models import estimate as estimates
from tunesmith.models.estimate import GB, Kept, Work
from tunesmith.tune import rules
from tunesmith.tune.spec import TuneSpec

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Machine:
    """What the training is to run on.

    Args:
        gflops: speed of matrix products in 1e9 operations a second.
        device: `cpu` or `cuda`.
        disk_free_gb: where the run keeps what must survive a kill.
        workers: processes that share the training.
    """

    gflops: float
    device: Device
    disk_free_gb: float
    workers: int = 1

    @property
    def apart(self) -> bool:
        """Whether every worker has a device of its own; on a processor they share memory and cores."""
        return self.device == "cuda"


def this_machine(scratch: Path, *, workers: int = 1) -> Machine:
    """This machine: its GPU where it has one, else its processor with the threads that training will have."""
    import shutil

    from tunesmith.models.hardware import look, measured_gflops, settle_threads

    device: Device = "cuda" if look().gpus else "cpu"
    settle_threads()
    return Machine(measured_gflops(device), device, shutil.disk_usage(scratch).free / GB, workers)


def method_work(spec: TuneSpec, shape: Shape, device: Device, *, checkpointing: bool) -> Work:
    """What follows from strategy, precision and device alone.

    Args:
        spec: the section with every `auto` filled.
        shape: the model with its weights, see `models.shape.with_weights`.
        device: `cpu` or `cuda`.
        checkpointing: see `Work`.

    Raises:
        UserError: the strategy does not fit the model, and why; bf16 is asked for and the hardware has none.
    """
    from tunesmith.models.nf4 import CPU_SLOWER
    from tunesmith.tune.precision import dtype_for

    strategy = rules.STRATEGIES.build(spec.strategy, where="tune.strategy")
    try:
        trainable = strategy.trainable(shape)
    except ValueError as error:
        raise UserError(rules.misfit(error)) from None
    packed, each = strategy.weight_format == "nf4", dtype_for(spec.precision, device).itemsize
    kept = kept_layers(strategy, shape.layers)
    return Work(
        trainable=trainable,
        tokens=0,
        trained_tokens=0,
        lowest=shape.layers - sum(some.layers for some in kept),
        adapter=strategy.beside,
        kept=kept,
        checkpointing=checkpointing,
        weight_bytes=estimates.packed_bytes(shape, each) if packed else each,
        compute_bytes=each,
        malloc=device == "cpu",
        slower=CPU_SLOWER if packed and device == "cpu" else 1.0,
    )


def kept_layers(strategy: Any, layers: int) -> tuple[Kept, ...]:
    """What each of the layers from the border on keeps for the backward pass.

    A strategy says by `roles` where its adapters lie (all of a feed-forward part where it has no such setting), and by
    `adapted` that only a middle band has any and the layers above are trained whole.
    """
    from tunesmith.tune.bands import Bands
    from tunesmith.tune.strategies._adapters import named

    lowest = strategy.border(layers)
    if not strategy.beside:
        return (Kept(layers - lowest, norms=True),)
    roles = tuple(named(strategy.roles) if hasattr(strategy, "roles") else ("gate", "up", "down"))
    rank = strategy.rank if isinstance(getattr(strategy, "rank", None), int) else 0
    known = tuple(role for role in roles if role in estimates.ROLES)
    if not hasattr(strategy, "adapted"):
        return (Kept(layers - lowest, known, rank=rank),)
    bands = Bands.of_shares(layers, frozen=strategy.frozen, adapted=strategy.adapted)
    whole = len(bands.whole_layers)
    found = (Kept(layers - lowest - whole, known, rank=rank), Kept(whole))
    return tuple(some for some in found if some.layers) or (Kept(0, ()),)
