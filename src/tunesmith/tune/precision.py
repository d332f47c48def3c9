"""Which type of number weights and arithmetic have."""

from __future__ import annotations

from typing import Literal

import torch

from tunesmith.core.errors import Problem, UserError


def computes_in_bf16(device: str) -> bool:
    """Whether the hardware has bf16 arithmetic. Emulated it is 9 to 90 times slower than fp32, so that counts as no."""
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def dtype_for(precision: Literal["auto", "fp32", "bf16"], device: str) -> torch.dtype:
    """The type for `precision` on `device`; `auto` takes bf16 only on accelerators that compute in it.

    A CPU with bf16 units keeps fp32 unless asked: what is saved there is small, and fp32 resumes and compares exactly.

    Raises:
        UserError: bf16 is asked for where the hardware does not compute in it.
    """
    if precision == "bf16" and not computes_in_bf16(device):
        found = f"this machine's {device} does not compute in bf16; emulated it is many times slower than fp32"
        raise UserError(Problem("no-bf16", found, "set precision: auto", "tune.precision", value=precision))
    wanted = precision == "bf16" or (precision == "auto" and device != "cpu" and computes_in_bf16(device))
    return torch.bfloat16 if wanted else torch.float32
