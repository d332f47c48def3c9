"""The arithmetic that a model answers in on a processor: exact, or faster and a little different.

Decoding waits for weights to come from memory, so fewer bytes a weight make tokens faster; processors with matrix units
for small numbers (AMX, AVX512) also read prompts faster. `./dev bench paths` measures both what that gains and what it
costs on written answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import Problem, UserError

Engine = Literal["exact", "bf16", "int8"]

_TRIED = 24


def engine_problem(engine: Engine, path: str = "reason.engine") -> Problem | None:
    """Why this machine cannot answer in `engine`, as a problem of the setting `path`; None where it can. No torch."""
    if engine == "exact":
        return None
    from tunesmith.models.hardware import look

    hardware = look()
    if engine == "int8" and hardware.gpus:
        message = "int8 is computed on the processor, and this machine has a GPU, which answers faster in 16 bits"
        return Problem("no-int8", message, "set engine: exact", path, value=engine)
    if engine == "int8" and hardware.int8 == "emulated":
        message = "this processor does not multiply 8-bit integers itself (VNNI or AMX), and would overflow"
        return Problem("no-int8", message, "set engine: exact", path, value=engine)
    if engine == "bf16" and hardware.bf16 == "emulated" and not any(gpu.bf16 for gpu in hardware.gpus):
        message = "neither the processor nor a GPU computes in bfloat16; emulated it is many times slower than float32"
        return Problem("no-bf16", message, "set engine: int8 or exact", path, value=engine)
    return None


def load_in_engine(folder: Path, engine: Engine) -> Any:
    """The causal language model of `folder` on the processor, answering in `engine`, in evaluation mode.

    Its weights are those that an expert with this engine answers with, so a witness of it (`models.witness`) can be
    compared with the exact model's: the parity of `int8` is that of this model. The same folder gives the same model.

    Raises:
        UserError: the folder is unsafe or incomplete, or this machine cannot compute in `engine`.
    """
    from tunesmith.models.load import load_model

    if problem := engine_problem(engine):
        raise UserError(problem)
    return into_engine(load_model(folder), engine)


def into_engine(model: Any, engine: Engine) -> Any:
    """`model` made to answer in `engine`; changed in place.

    Args:
        model: a float32 causal LM of Transformers on the processor, in evaluation mode, without an adapter beside it.
        engine: `exact` leaves the numbers as they are; they only lie otherwise (`models.packed`).
    """
    import torch

    from tunesmith.models.int8 import convert
    from tunesmith.models.packed import can_pack, pack
    from tunesmith.models.prefix import can_share

    if engine != "exact":
        can_share(model, range(_TRIED))  # tried while its logits are exact: rounding would look like a difference
    if engine == "int8":
        convert(model)
        return model
    if engine == "bf16":
        for weight in model.parameters():  # no buffers: the frequencies of rotary positions stay in float32
            weight.data = weight.data.to(torch.bfloat16)
    if can_pack():
        pack(model)
    return model
