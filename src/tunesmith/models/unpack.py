"""GGUF files unpacked once into float32 safetensors, and checked that the result still speaks.

GGUF's block formats cannot be trained; transformers unpacks them to float32. A conversion can go wrong without
an error: one release of transformers turned SmolLM2's tokeniser into nonsense (mean loss 11.7 instead of 1.9).
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.events import Events
from tunesmith.core.files import atomic_folder, write_json
from tunesmith.core.ids import digest_file
from tunesmith.models.digests import MANIFEST, intact, model_files
from tunesmith.models.fetch import cache_folder
from tunesmith.models.quiet import quiet

VERSION = "1"
"""Raised when unpacking would write other files; part of the folder's name in the cache."""

GUARD_TEXT = (
    "The sun rises in the east and sets in the west. "
    "The capital of France is Paris, and the capital of Germany is Berlin."
)
GUARD_LOSS = 3.0
"""Nats per token; SmolLM2-135M has about 1.9 on `GUARD_TEXT`, random weights about ln(vocabulary)."""


def unpacked_path(digest: str, cache: Path) -> Path:
    """Where the unpacked form of the GGUF file with that SHA-256 lies, whether or not it is there."""
    return cache / "models" / f"gguf-{digest[:16]}-v{VERSION}"


def unpack(file: Path, target: Path, *, loss_below: float | None, events: Events) -> Path:
    """Write the model of a GGUF file as safetensors with tokeniser and chat template to `target`, in one step.

    Args:
        file: a GGUF file of an architecture that transformers can unpack.
        target: folder to make; one that is there and intact is returned as it is.
        loss_below: largest mean loss on `GUARD_TEXT` that is believed; None: only told when it is no better
            than guessing.
        events: where progress and doubts are told.

    Raises:
        UserError: the file cannot be unpacked, or the result fails the guard; nothing is left behind.
    """
    if intact(target, cache_folder()):
        return target
    if target.exists():
        events.tell("warning", "model", f"{target} was changed since it was unpacked; it is made again")
    events.tell("note", "model", f"unpacking {file.name} to float32 safetensors (once)")
    model, tokenizer = _read(file)
    for problem in guard_problems(model, tokenizer, loss_below=loss_below, place=file):
        if loss_below is not None:
            raise UserError(problem)
        events.tell("warning", "model", str(problem))
    with atomic_folder(target) as folder, quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_json(folder / MANIFEST, {path.name: digest_file(path) for path in model_files(folder)})
    return target


def guard_problems(model: Any, tokenizer: Any, *, loss_below: float | None, place: Path) -> list[Problem]:
    """Token round trip and mean loss on a fixed English text; empty if the model speaks."""
    import torch

    ids = tokenizer(GUARD_TEXT, add_special_tokens=False, return_tensors="pt").input_ids
    hint = "this version of transformers may read the file wrongly; use the model's safetensors version"
    if tokenizer.decode(ids[0]) != GUARD_TEXT:
        return [Problem("broken-tokenizer", "the tokeniser does not give a text back as it was", hint, str(place))]
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    limit = math.log(model.config.vocab_size) if loss_below is None else loss_below
    if loss < limit:
        return []
    message = f"mean loss {loss:.2f} nats per token on plain English, expected under {limit:.2f}"
    return [Problem("broken-model", message, hint, str(place))]


@contextlib.contextmanager
def _read_once() -> Iterator[None]:
    """Let transformers parse the file once for a block, where it would parse it three times.

    It makes a new reader for tokeniser, config and weights, and a new table of tensor names for every module of
    the model; remembered, SmolLM2 takes 8 s of CPU time instead of 31 s. Nothing but speed depends on it.
    """
    import gguf

    originals = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, original in originals.items():
        setattr(gguf, name, functools.cache(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(gguf, name, original)


def _read(file: Path) -> tuple[Any, Any]:
    """Model and tokeniser of the GGUF file, in float32, with every mark of quantisation removed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name, "local_files_only": True}
    try:
        with (
            quiet(),
            _read_once(),
            contextlib.redirect_stderr(io.StringIO()),
        ):  # transformers' unpacking bar heeds no setting
            tokenizer = AutoTokenizer.from_pretrained(**place)
            model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    except Exception as error:  # the readers of GGUF raise whatever a damaged byte leads them to
        message = f"the GGUF file cannot be read: {type(error).__name__}: {shorten(error, width=200)}"
        hint = "fetch it again, or use the model's safetensors version"
        raise UserError(Problem("broken-gguf", message, hint, str(file))) from None
    # Left in place, the model would count as quantised, and training refuses quantised weights.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.eval(), tokenizer
