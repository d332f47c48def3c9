"""What training leaves: an adapter in PEFT's format or a whole model folder; written, and opened again.

Nothing here asks the network, and what is written needs nothing of ours to be read: `adapter/` opens with
`PeftModel.from_pretrained` on its base, `model/` with `AutoModelForCausalLM.from_pretrained`. An adapter that was
trained on a 4-bit base has `base_weights.json` beside it, which says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core import files
from tunesmith.core.errors import Problem, UserError

if TYPE_CHECKING:
    import torch

ADAPTER: Literal["adapter"] = "adapter"
MODEL: Literal["model"] = "model"
"""The two forms, and the names of their folders inside a checkpoint."""

_BASE_WEIGHTS = "base_weights.json"


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


def save_trained(model: Any, folder: Path, *, base_path: str) -> Literal["adapter", "model"]:
    """Write what was trained into `folder`: `adapter/` for a PEFT model, `model/` for a plain one; which, is returned.

    The same weights give the same bytes.

    Args:
        model: what a strategy's `apply` gave, trained.
        folder: an existing folder.
        base_path: folder of the base model; a whole model gets its tokeniser and chat template.
    """
    if hasattr(model, "peft_config"):
        save_adapter(model, folder / ADAPTER, base_path=base_path)
        return ADAPTER
    save_model(model, folder / MODEL, base_path=Path(base_path))
    return MODEL


def save_adapter(model: Any, folder: Path, *, base_path: str) -> None:
    """Write a PEFT model's adapter (adapter_config.json, adapter_model.safetensors) to `folder`.

    The same adapter gives the same bytes: lists that PEFT keeps as sets are sorted, its placeholder README is left out.
    The embedding is never saved along: PEFT would ask the hub about it.
    """
    with _known_warnings():
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = files.read_json(folder / "adapter_config.json")
    config["base_model_name_or_path"] = base_path
    for name in ("target_modules", "target_parameters"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    files.write_json(folder / "adapter_config.json", config)
    packing = getattr(model.get_base_model().config, "quantization_config", None)
    if packing is not None:
        dtype = str(packing.bnb_4bit_compute_dtype).removeprefix("torch.")
        files.write_json(folder / _BASE_WEIGHTS, {"format": "nf4", "packed_from": dtype})


def save_model(model: Any, folder: Path, *, base_path: Path) -> None:
    """Write a plain model with the base's tokeniser: config, chat template, safetensors in the type of its weights."""
    from tunesmith.models.load import load_tokenizer
    from tunesmith.models.quiet import quiet

    with quiet():
        model.save_pretrained(str(folder), safe_serialization=True)
    load_tokenizer(base_path).save_pretrained(str(folder))


def open_trained(checkpoint: Path, *, base_path: Path, dtype: torch.dtype, device: str = "cpu") -> Any:
    """The trained model of a checkpoint folder, in evaluation mode: what `save_trained` wrote, in either form.

    Args:
        checkpoint: holds `adapter/` or `model/`.
        base_path: folder of the base model.
        dtype: type of the weights in memory.
        device: `cpu`, `cuda`, `cuda:1`.

    Returns:
        A PEFT model on plain weights (a 4-bit base is unpacked), or the whole model.

    Raises:
        UserError: neither is there; a folder is unsafe or does not load.
    """
    from tunesmith.models.load import load_model

    if (checkpoint / ADAPTER).is_dir():
        base = load_base(base_path, checkpoint / ADAPTER, dtype=dtype, device=device)
        return load_adapter(base, checkpoint / ADAPTER)
    if (checkpoint / MODEL).is_dir():
        return load_model(checkpoint / MODEL, dtype=dtype, device=device)
    hint = "run the training again: `tunesmith run --fresh`"
    raise UserError(Problem("no-weights", f"there is neither {ADAPTER}/ nor {MODEL}/", hint, str(checkpoint)))


def load_base(base_path: Path, adapter: Path, *, dtype: torch.dtype, device: str = "cpu") -> Any:
    """The base as the adapter in the folder `adapter` was trained on it; 4-bit weights are unpacked, in `dtype`."""
    from tunesmith.models.load import load_model

    told = adapter / _BASE_WEIGHTS
    if not told.is_file():
        return load_model(base_path, dtype=dtype, device=device)
    import torch

    from tunesmith.models.nf4 import unpack

    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    packed_from = types.get(str(files.read_json(told).get("packed_from")))
    if packed_from is None:
        hint = "it must name the type that the 4-bit weights were packed from: " + ", ".join(types)
        raise UserError(Problem("broken-adapter", "the base's weights are not told", hint, str(told)))
    return unpack(load_model(base_path, dtype=packed_from, device=device, weights="nf4"), dtype=dtype).eval()


def merged(model: Any) -> Any:
    """A PEFT model's adapter merged into its base: a plain model that answers alike."""
    with _known_warnings():
        plain = model.merge_and_unload(safe_merge=True)
    head, embedding = plain.get_output_embeddings(), plain.get_input_embeddings()
    if head is not None and head.weight is not embedding.weight:
        plain.config.tie_word_embeddings = False  # a tied head that was trained has become a matrix of its own
    return plain.eval()


@contextmanager
def _known_warnings() -> Iterator[None]:
    """What PEFT says that is not the user's concern.

    A property that Transformers has renamed; a tied head that is trained apart; ranks of AdaLoRA's matrices, which PEFT
    takes for ranks of LoRA's before it uses them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*", category=UserWarning)
        # a matrix from which the strategy `adaptive` has taken all rank
        warnings.filterwarnings("ignore", message=".*LoRA tensor.s. have invalid shape.*")
        warnings.filterwarnings("ignore", message="The following rank_pattern.*lora_E", category=RuntimeWarning)
        yield
