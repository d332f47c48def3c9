"""Adapters through PEFT: put on, saved in its format, loaded again. Nothing here asks the network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.core import files


def put_on(model: Any, config: Any) -> Any:
    """`model` with a fresh adapter (a PEFT model), its global random state that of torch.

    Args:
        model: a causal LM of Transformers; changed in place.
        config: a PEFT config.
    """
    from peft import get_peft_model

    with _known_warnings():
        return get_peft_model(model, config)


def load_adapter(model: Any, folder: Path) -> Any:
    """`model` with the adapter in `folder` (PEFT's format, safetensors), not trained, in evaluation mode."""
    from peft import PeftModel

    with _known_warnings():
        return PeftModel.from_pretrained(model, str(folder)).eval()


def save_adapter(model: Any, folder: Path, *, base_path: str) -> None:
    """Write a PEFT model's adapter (adapter_config.json, adapter_model.safetensors) to `folder`.

    The same adapter gives the same bytes: lists that PEFT keeps as sets are sorted, its placeholder README is left out.
    The embedding is never saved along: PEFT would ask the hub about it.
    """
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = files.read_json(folder / "adapter_config.json")
    config["base_model_name_or_path"] = base_path
    for name in ("target_modules", "target_parameters"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    files.write_json(folder / "adapter_config.json", config)


@contextmanager
def _known_warnings() -> Iterator[None]:
    """PEFT still reads a property that Transformers has renamed; that is not the user's concern."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
