"""A base model in 4-bit NormalFloat (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes through Transformers.

Packed are the linear layers but the head; embeddings and norms keep their numbers. What is packed depends on the type
of number it is packed from, so that type is written down beside an adapter (`models.adapters`) and used again whenever
the expert is opened: it then answers on exactly the weights that it was trained on.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import MissingLibrary, Problem

if TYPE_CHECKING:
    import torch

LIBRARY = "bitsandbytes"
BYTES_PER_WEIGHT = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Four bits, an 8-bit scale for 64 weights, a float32 for 256 scales (double quantisation, section 3)."""

CPU_SLOWER = 1.2
"""Time of a LoRA step on packed weights over that on float32 weights on a CPU.

Measured: 1.01 to 1.29 on one thread, for widths of 256 to 1,024 and 256 or 512 tokens a step; more tokens, less.
"""


def missing_library() -> Problem | None:
    """What to install, where bitsandbytes is not; None where it is."""
    if find_spec(LIBRARY) is not None:
        return None
    hint = "pip install 'tunesmith[qlora]'"
    return Problem("needs-library", f"4-bit weights need the library '{LIBRARY}', which is not installed", hint)


def load_packed(folder: Path, *, dtype: torch.dtype, device: str) -> Any:
    """The causal LM in `folder` with its linear layers packed; products are computed in `dtype`.

    Raises:
        MissingLibrary: bitsandbytes is not installed.
        ValueError, OSError, RuntimeError: as Transformers raises them for a folder that it cannot load.
    """
    if problem := missing_library():
        raise MissingLibrary(problem)
    # It tells every user of a CPU about a faster kernel that it would fetch from a hub; nothing is fetched here.
    logging.getLogger(f"{LIBRARY}.backends.cpu.ops").setLevel(logging.ERROR)
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    packing = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype,
        quantization_config=packing,
        device_map={"": device},
        local_files_only=True,
        use_safetensors=True,
    )
    for module in model.modules():
        # In evaluation mode on a CPU with AVX512-BF16 a layer would pack itself anew, with scales rounded to bf16, into
        # a form that passes no gradient: the model would change under the training and stop learning without a word.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def unpack(model: Any, *, dtype: torch.dtype) -> Any:
    """`model` with its packed layers as plain ones in `dtype`, each the number that its four bits stand for."""
    from tunesmith.models.quiet import quiet

    with quiet():
        return model.dequantize(dtype=dtype).to(dtype)
