"""A checkpoint merged into its base: one model folder that other tools load."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.types import Checkpoint


def merge(checkpoint: Checkpoint, out: Path) -> None:
    """Write the trained model as one: config, safetensors in float32 and the tokeniser with its chat template.

    An adapter is merged into the weights that it was trained on: for a 4-bit base these are the unpacked 4-bit ones,
    not the base's own, which would be another model than the one that was measured.

    Args:
        checkpoint: an opened checkpoint.
        out: an existing folder; made whole by the caller (`core.files.atomic_folder`).

    Raises:
        UserError: the base model's folder is gone or has changed into something that cannot be loaded.
    """
    import torch

    from tunesmith.models.adapters import ADAPTER, merged, open_trained, save_model

    base = Path(checkpoint.base_path)
    model = open_trained(checkpoint.file(ADAPTER).parent, base_path=base, dtype=torch.float32)
    save_model(merged(model) if hasattr(model, "peft_config") else model, out, base_path=base)
