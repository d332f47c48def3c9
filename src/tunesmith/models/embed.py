"""Texts as vectors: a sentence encoder, mean pooled, unit length (Reimers and Gurevych 2019, arXiv:1908.10084).

Plain transformers gives the numbers that sentence-transformers gives, and imports in a fraction of its time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.events import Events
from tunesmith.core.files import atomic_folder
from tunesmith.models.catalog import Encoder, encoders
from tunesmith.models.fetch import cache_folder, fetch_assets
from tunesmith.models.quiet import quiet
from tunesmith.models.safety import safety_problems

DEFAULT = "all-minilm-l6-v2"

_TOKENS_PER_BATCH = 4096
_CONTEXT = 512
"""Longest input of an encoder that does not say it."""

_POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}


@dataclass(frozen=True)
class Embedder:
    """Turns texts into vectors; a product of two vectors is their cosine.

    Fields:
        name: catalog name or folder.
        languages: what it was trained on; empty: not known.
        context: longest text in tokens; what is longer is cut.
    """

    name: str
    languages: tuple[str, ...]
    context: int
    _model: Any
    _tokenizer: Any
    _first: bool

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row per text, in order: shape [N, D], of length 1. An empty text has a vector like any other.

        A text's vector does not depend on the texts beside it, but for rounding (about 1e-6).
        """
        rows = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        ids = [found.ids or [0] for found in self._tokenizer.encode_batch([_sound(text) for text in texts])]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))  # rows of a batch are about equally long
        while order:
            size = max(1, _TOKENS_PER_BATCH // len(ids[order[0]]))
            chosen, order = order[:size], order[size:]
            rows[chosen] = self._pooled([ids[i] for i in chosen])
        return rows

    def _pooled(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import torch

        longest = max(map(len, ids))
        tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
        with torch.inference_mode():
            states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled = states[:, 0] if self._first else (states * weights).sum(1) / weights.sum(1)
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(pooled.float(), dim=-1).numpy()
        return vectors


def open_embedder(name: str = DEFAULT, *, root: Path | None = None, events: Events | None = None) -> Embedder:
    """An encoder of the catalog, brought once, or one in a local folder.

    Args:
        name: a catalog name, or a folder in Hugging Face's layout (config.json, model.safetensors, tokenizer.json;
            `1_Pooling/config.json` where it does not take the mean).
        root: folder that a relative `name` lies in.
        events: where bringing it is told.

    Raises:
        UserError: there is no such encoder, it cannot be brought, or its folder is unsafe or incomplete.
    """
    if known := next((encoder for encoder in encoders() if name.lower() in (encoder.name, encoder.hub.lower())), None):
        return _opened(_brought(known, events), known.name, known.context, known.languages)
    folder = (root or Path()) / name
    if not folder.is_dir():
        hint = did_you_mean(name, [encoder.name for encoder in encoders()])
        raise UserError(Problem("unknown-encoder", f"there is no encoder and no folder '{name}'", hint, value=name))
    if problems := safety_problems(folder):
        raise UserError(problems)
    return _opened(folder, name, None, ())


def _brought(encoder: Encoder, events: Events | None) -> Path:
    """A folder with the encoder's files, whose digests were checked when they were brought."""
    paths = fetch_assets(encoder.assets, cache_folder(), events=events)
    marks = "".join(asset.sha256[:6] for asset in encoder.assets)
    target = cache_folder() / "models" / f"encoder-{marks}"
    if not target.is_dir():
        with atomic_folder(target) as folder:
            for path in paths:
                (folder / path.name).symlink_to(path)
    return target


def _opened(folder: Path, name: str, context: int | None, languages: tuple[str, ...]) -> Embedder:
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        with quiet():
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        first = _pooling(folder) == "first"
    except Exception as error:  # whatever a damaged file leads its reader to
        message = f"the encoder cannot be loaded: {type(error).__name__}: {shorten(error, width=200)}"
        raise UserError(Problem("broken-encoder", message, "fetch it again", str(folder))) from None
    longest = context or min(_CONTEXT, getattr(model.config, "max_position_embeddings", _CONTEXT))
    tokenizer.enable_truncation(longest)
    tokenizer.no_padding()
    return Embedder(name, languages, longest, model.eval(), tokenizer, first)


def _pooling(folder: Path) -> str:
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return "mean"
    told = json.loads(file.read_text(encoding="utf-8"))
    ways = [way for key, way in _POOLING.items() if told.get(key)]
    if len(ways) != 1:
        raise ValueError(f"{file} asks for another pooling than the mean or the first token")
    return ways[0]


def _sound(text: str) -> str:
    """The text without what UTF-8 cannot hold (lone surrogates), which the tokenizer refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
