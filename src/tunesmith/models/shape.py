"""The numbers of an architecture that estimates and the artifact Base need, read without loading any weight."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.files import read_json
from tunesmith.models.catalog import Entry
from tunesmith.models.quiet import quiet
from tunesmith.models.roles import Weight, weights_of
from tunesmith.models.safety import weight_shapes

_OLD_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "n_inner": "intermediate_size",
    "ffn_dim": "intermediate_size",
}
"""What GPT-2 and its kin call these numbers in config.json."""

_ROUTED = re.compile(r"\.experts\.")


@dataclass(frozen=True)
class Shape:
    """What a decoder looks like from outside.

    Args:
        architecture: transformers class name.
        parameters: number of weights; `active_parameters`: those used for one token.
        layers, hidden: depth and width.
        query, key, value: widths of the projections, all heads together; `value` once per key-value head.
        mixed: width of the attention's output before its output projection (heads x value head width).
        inner: width of the feed-forward part that one token passes (experts in use and shared ones together).
        vocabulary: rows of the embedding.
        tied: whether input embedding and head are one matrix.
        context: longest input in tokens.
        model_type: as in config.json; empty where there is none.
        weights: every weight by name; empty where only widths are known, see `with_weights`.
    """

    architecture: str
    parameters: int
    active_parameters: int
    layers: int
    hidden: int
    query: int
    key: int
    value: int
    mixed: int
    inner: int
    vocabulary: int
    tied: bool
    context: int
    model_type: str = ""
    weights: tuple[Weight, ...] = ()

    @property
    def body(self) -> int:
        """Weights that multiply every token: the active ones without embedding and head."""
        return self.active_parameters - self.vocabulary * self.hidden * (1 if self.tied else 2)


def shape_of_folder(folder: Path) -> Shape:
    """The shape of the model in `folder`, from config.json and the headers of its weights.

    Raises:
        UserError: config.json lacks a number that every decoder has.
    """
    whole = read_json(folder / "config.json")
    inner = whole.get("text_config")  # models that also see or hear keep the decoder's numbers there
    config = {**whole, **inner} if isinstance(inner, dict) else whole
    config = {**{name: config[old] for old, name in _OLD_NAMES.items() if old in config}, **config}
    missing = [key for key in ("hidden_size", "num_hidden_layers", "vocab_size") if not _is_count(config.get(key))]
    if missing or not _is_count(config.get("num_attention_heads")):
        names = ", ".join(missing or ["num_attention_heads"])
        hint = "is this the folder of a causal language model?"
        raise UserError(Problem("broken-config", f"there is no number for {names}", hint, str(folder / "config.json")))
    tensors = weight_shapes(folder)
    parameters = sum(math.prod(shape) for shape in tensors.values())
    routed = sum(math.prod(shape) for name, shape in tensors.items() if _ROUTED.search(name))
    experts = config.get("n_routed_experts") or config.get("num_experts") or config.get("num_local_experts") or 1
    idle = 1 - (config.get("num_experts_per_tok") or experts) / experts
    tied = "lm_head.weight" not in tensors
    return Shape(
        architecture=str((whole.get("architectures") or [""])[0]),
        parameters=parameters,
        active_parameters=parameters - round(routed * idle),
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        **_widths(config),
        inner=_inner(config),
        vocabulary=config["vocab_size"],
        tied=tied,
        context=int(config.get("max_position_embeddings") or 0),
        model_type=str(whole.get("model_type") or ""),
    )


def with_weights(shape: Shape, folder: Path | None = None) -> Shape:
    """`shape` with the names and shapes of all weights.

    Args:
        shape: of the model.
        folder: where the model lies: its weights are those of Transformers' own class, made without memory for them;
            None: a dense decoder of the usual make is assumed, its weights follow from the widths.

    Raises:
        UserError: Transformers has no class for the architecture.
    """
    if folder is None:
        return replace(shape, model_type=_USUAL, weights=tuple(_usual_weights(shape)))
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        message = f"the model cannot be built: {type(error).__name__}: {shorten(error, width=300)}"
        hint = "transformers must know its architecture, and config.json must be whole"
        raise UserError(Problem("cannot-load", message, hint, str(folder))) from None
    return replace(shape, model_type=config.model_type, weights=weights_of(model))


_USUAL = "llama"


def _usual_weights(shape: Shape) -> Iterator[Weight]:
    sizes = {
        "self_attn.q_proj": (shape.query, shape.hidden),
        "self_attn.k_proj": (shape.key, shape.hidden),
        "self_attn.v_proj": (shape.value, shape.hidden),
        "self_attn.o_proj": (shape.hidden, shape.mixed),
        "mlp.gate_proj": (shape.inner, shape.hidden),
        "mlp.up_proj": (shape.inner, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.inner),
    }
    yield Weight("model.embed_tokens.weight", (shape.vocabulary, shape.hidden), "embedding")
    for layer in range(shape.layers):
        for name, size in sizes.items():
            yield Weight(f"model.layers.{layer}.{name}.weight", size)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield Weight(f"model.layers.{layer}.{name}.weight", (shape.hidden,), "other")
    yield Weight("model.norm.weight", (shape.hidden,), "other")
    if not shape.tied:
        yield Weight("lm_head.weight", (shape.vocabulary, shape.hidden), "head")


def shape_of_entry(entry: Entry) -> Shape:
    """The shape of a catalog model, without any file of it.

    Raises:
        UserError: the catalog does not know layers, width or vocabulary of this model.
    """
    if entry.layers is None or entry.hidden is None or entry.heads is None or entry.vocabulary is None:
        message = f"the catalog does not know the shape of '{entry.name}'"
        raise UserError(Problem("unknown-shape", message, "fetch it and name its folder", "model.use"))
    config = {
        "hidden_size": entry.hidden,
        "num_attention_heads": entry.heads,
        "num_key_value_heads": entry.kv_heads,
        "head_dim": entry.head_dim,
    }
    return Shape(
        architecture=entry.architecture,
        parameters=entry.parameters,
        active_parameters=entry.active_parameters,
        layers=entry.layers,
        hidden=entry.hidden,
        **_widths(config),
        inner=entry.intermediate or 4 * entry.hidden,
        vocabulary=entry.vocabulary,
        tied=bool(entry.tied),
        context=entry.context or 0,
    )


class _Widths(TypedDict):
    query: int
    key: int
    value: int
    mixed: int


def _widths(config: Mapping[str, Any]) -> _Widths:
    """Widths of query, key, value and mixed; multi-head latent attention expands keys and values to every head."""
    heads = config["num_attention_heads"]
    if config.get("kv_lora_rank"):
        looked_at = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
        value = heads * config["v_head_dim"]
        return {"query": heads * looked_at, "key": heads * looked_at, "value": value, "mixed": value}
    head = config.get("head_dim") or config["hidden_size"] // heads
    shared = (config.get("num_key_value_heads") or heads) * head
    return {"query": heads * head, "key": shared, "value": shared, "mixed": heads * head}


def _inner(config: Mapping[str, Any]) -> int:
    expert = config.get("moe_intermediate_size")
    used = (config.get("num_experts_per_tok") or 0) + (config.get("n_shared_experts") or 0)
    dense = config.get("intermediate_size") or 4 * config["hidden_size"]
    return int(expert * used if expert and used else dense)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
