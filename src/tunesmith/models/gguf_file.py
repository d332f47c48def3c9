"""A model folder written as one GGUF file, which llama.cpp and Ollama load: Llama, Qwen2 and Qwen3 with byte-level BPE.

What this file format cannot say, or what was not tried, is refused and told; nothing is guessed. Tensor names follow
gguf's own table; Llama's query and key rows are reordered, since llama.cpp rotates neighbouring pairs and transformers
halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import read_json

Weights = Literal["f32", "f16", "q8_0"]

_ARCHITECTURES = {"LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3"}
_SPLITS = {
    r"\p{N}{1,3}": "llama-bpe",
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|": "qwen2",
}
"""Part of a tokeniser's splitting pattern -> what llama.cpp calls it."""
_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5


def write_gguf(folder: Path, file: Path, *, weights: Weights = "q8_0", name: str = "") -> None:
    """Write the model in `folder` (config, safetensors, tokenizer.json) to `file`.

    Matrices are written in the type `weights`, those whose rows are no multiple of 32 long in 16 bits; vectors in 32.

    Args:
        folder: a merged model.
        file: the file to make; replaced if it is there.
        weights: 8 bits in blocks of 32 (`q8_0`), 16 or 32 bits.
        name: what the model is called inside the file.

    Raises:
        UserError: another architecture, tokeniser or way of rotating positions; all of it is told.
    """
    import gguf

    config, tokenizer = read_json(folder / "config.json"), read_json(folder / "tokenizer.json")
    problems = gguf_problems(config, tokenizer, str(folder))
    if problems:
        raise UserError(problems)
    architecture = _ARCHITECTURES[config["architectures"][0]]
    writer = gguf.GGUFWriter(str(file), architecture)
    _describe(writer, config, name or folder.name, weights)
    _speak(writer, folder, tokenizer, config)
    names = gguf.get_tensor_name_map(_kind(architecture), config["num_hidden_layers"])
    for key, values in _tensors(folder):
        if config.get("tie_word_embeddings") and key == "lm_head.weight":
            continue
        target = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise UserError(Problem("no-gguf", f"GGUF has no place for the tensor '{key}'", "", str(folder)))
        _add(writer, target, _reordered(key, values, config, architecture), weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def opened_gguf(file: Path) -> Any:
    """The weights that are really in a GGUF file, read back by transformers, in float32 and evaluation mode.

    Not its tokeniser: transformers makes another one of it than llama.cpp does, so that would judge transformers.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from tunesmith.models.quiet import quiet

    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name, "local_files_only": True}
    with quiet():
        return AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()


def gguf_problems(config: dict[str, Any], tokenizer: dict[str, Any], place: str) -> list[Problem]:
    """Why this model cannot be written as GGUF; empty if it can."""
    problems = []
    architecture = (config.get("architectures") or ["none"])[0]
    if architecture not in _ARCHITECTURES:
        hint = "export it as safetensors, and convert that with llama.cpp's own converter"
        problems.append(Problem("no-gguf", f"{architecture} is not written as GGUF", hint, place))
    scaling = _rope(config).get("rope_type", "default")
    if scaling != "default":
        problems.append(Problem("no-gguf", f"positions scaled as '{scaling}' are not written as GGUF", "", place))
    if tokenizer["model"].get("type") != "BPE" or split_name(tokenizer) is None:
        found = "this tokeniser's way of splitting text has no known name in llama.cpp"
        problems.append(Problem("no-gguf", found, "export it as safetensors", place))
    return problems


def split_name(tokenizer: dict[str, Any]) -> str | None:
    """What llama.cpp calls the way in which a tokenizer.json splits text before BPE; None where it is not known."""
    before = tokenizer.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    kinds = [step.get("type") for step in steps]
    if "ByteLevel" not in kinds:
        return None
    for step in steps:
        if step.get("type") == "Split":
            pattern = str(step.get("pattern", {}).get("Regex", ""))
            return next((name for part, name in _SPLITS.items() if part in pattern), None)
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    return "gpt-2" if kinds == ["ByteLevel"] and steps[0].get("use_regex", True) else None


def _describe(writer: Any, config: dict[str, Any], name: str, weights: Weights) -> None:
    import gguf

    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(_rope(config).get("rope_theta") or 10_000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    kinds = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}
    writer.add_file_type(getattr(gguf.LlamaFileType, kinds[weights]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Base and scaling of rotary positions, in the form of old and new configs."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    return {"rope_theta": scaling.get("rope_theta") or config.get("rope_theta"), "rope_type": kind}


def _speak(writer: Any, folder: Path, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    """Vocabulary, merges, special tokens and chat template."""
    from tunesmith.models.chat import Chat

    chat = Chat.of(folder)
    tokens, kinds = _vocabulary(tokenizer, config["vocab_size"])
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_name(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    ends = chat.end_of_turn_ids[-1:] or (chat.tokenizer.eos_token_id,)
    for add, token in (
        (writer.add_bos_token_id, chat.tokenizer.bos_token_id),
        (writer.add_eos_token_id, ends[0]),
        (writer.add_eot_token_id, ends[0]),
        (writer.add_pad_token_id, chat.tokenizer.pad_token_id),
    ):
        if token is not None:
            add(int(token))
    writer.add_add_bos_token(False)  # the chat template writes it where there is one
    if isinstance(chat.tokenizer.chat_template, str):
        writer.add_chat_template(chat.tokenizer.chat_template)


def _vocabulary(tokenizer: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Token texts by id and what kind each is; ids that no token has are filled up as unused."""
    texts = {int(i): text for text, i in tokenizer["model"]["vocab"].items()}
    kinds = dict.fromkeys(texts, _NORMAL)
    for token in tokenizer.get("added_tokens", []):
        texts[int(token["id"])] = token["content"]
        kinds[int(token["id"])] = _CONTROL if token.get("special") else _USER
    size = max(size, max(texts) + 1)
    return [texts.get(i, f"[PAD{i}]") for i in range(size)], [kinds.get(i, _UNUSED) for i in range(size)]


def _tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """Every tensor as float32, one at a time."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 - it is no mapping
                yield key, opened.get_tensor(key).float().numpy()


def _reordered(key: str, values: Any, config: dict[str, Any], architecture: str) -> Any:
    """Rows of Llama's query and key in llama.cpp's order; everything else as it is."""
    if architecture != "llama" or not key.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")):
        return values
    heads = config["num_attention_heads"]
    if "k_proj" in key:
        heads = config.get("num_key_value_heads") or heads
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _add(writer: Any, name: str, values: Any, weights: Weights) -> None:
    import gguf

    if values.ndim == 1 or weights == "f32":
        writer.add_tensor(name, values.astype(np.float32))
    elif weights == "q8_0" and values.shape[-1] % 32 == 0:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, values.astype(np.float16))


def _kind(architecture: str) -> Any:
    import gguf

    return {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}[architecture]


def modelfile(gguf_name: str, *, stops: list[str], context: int) -> str:
    """An Ollama Modelfile: greedy answers that end where the chat template ends a turn; the template is in the file."""
    lines = [f"FROM ./{gguf_name}", "PARAMETER temperature 0", f"PARAMETER num_ctx {context}"]
    return "\n".join([*lines, *(f"PARAMETER stop {json.dumps(stop)}" for stop in stops)]) + "\n"
