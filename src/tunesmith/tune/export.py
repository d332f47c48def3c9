"""A checkpoint merged into its base: one model folder that other tools load."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.types import Checkpoint

ADAPTER = "adapter"


def merge(checkpoint: Checkpoint, out: Path) -> None:
    """Write base and adapter as one model: config, safetensors in float32 and the tokeniser with its chat template.

    Args:
        checkpoint: an opened checkpoint.
        out: an existing folder; made whole by the caller (`core.files.atomic_folder`).

    Raises:
        UserError: the base model's folder is gone or has changed into something that cannot be loaded.
    """
    from tunesmith.models.adapters import load_adapter
    from tunesmith.models.load import load_model, load_tokenizer
    from tunesmith.models.quiet import quiet

    base = Path(checkpoint.base_path)
    adapted = load_adapter(load_model(base), checkpoint.file(ADAPTER))
    with quiet():
        adapted.merge_and_unload(safe_merge=True).save_pretrained(str(out), safe_serialization=True)
    load_tokenizer(base).save_pretrained(str(out))
