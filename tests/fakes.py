"""Tiny models with random weights and a real tokeniser, shared by the tests of every room.

A fake is a real model folder (config.json, safetensors, tokeniser, chat template) in small; it takes well
under a second to write and goes through the same code as a model of 70 billion parameters.
"""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHAT_TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{% endif %}
{{- 'tools:' }}{% for tool in tools %}{{- '\\n' + (tool | tojson) }}{% endfor %}{{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content is defined and message.reasoning_content is not none %}
{{- '<think>' + message.reasoning_content + '</think>' }}
{%- endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- set call = call.function if call.function is defined else call %}
{{- '<tool_call>' + ({'name': call.name, 'arguments': call.arguments} | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role != 'system' or not loop.first %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""
"""ChatML with system, user, assistant and tool turns, tool calls, and reasoning kept as `<think>...</think>`."""

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")

_SENTENCES = (
    "system user assistant tool: You are a helpful assistant. Answer with the name of the chapter.",
    "The patient has a broken arm and a high fever; the diagnosis is pneumonia, cholera or influenza.",
    "The applicant asks for a credit of 2,500 euros over 36 months; the answer is yes, no or maybe.",
    "Water boils at one hundred degrees, and the sun rises in the east. What is the capital of France? Paris.",
    "Injury, poisoning and certain other consequences of external causes. Diseases of the circulatory system.",
)


def tiny_tokenizer(*, chat_template: str = CHAT_TEMPLATE, vocabulary: int = 400) -> Any:
    """A byte-level BPE of about 400 tokens that says any UTF-8 text, with the ChatML tokens and a pad token."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained_tokenizer(vocabulary)),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    fast.chat_template = chat_template
    return fast


@cache
def _trained_tokenizer(vocabulary: int) -> str:
    """Trained once a session."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    trained: str = tokenizer.to_str()
    return trained


def tiny_model_folder(
    tmp_path: Path, architecture: str = "llama", *, seed: int = 0, chat_template: str = CHAT_TEMPLATE, **size: Any
) -> Path:
    """Write a tiny model with random weights (float32) and return its folder, `tmp_path/tiny-ARCHITECTURE`.

    Args:
        tmp_path: an existing folder.
        architecture: llama, qwen2, qwen3, deepseek_v2 to deepseek_v4, phi3, gpt_neox, gpt2 or opt.
        seed: of the random weights; the caller's torch seed is left as it was.
        chat_template: Jinja source that is stored with the tokeniser.
        size: fields of the architecture's config that differ from the defaults (hidden 32, 2 layers, 4 heads,
            untied head, 512 positions), e.g. `num_hidden_layers=4`.
    """
    made = _made_model_folder(architecture, seed, chat_template, json.dumps(size))
    return Path(shutil.copytree(made, tmp_path / made.name, dirs_exist_ok=True))


@cache
def _made_model_folder(architecture: str, seed: int, chat_template: str, size: str) -> Path:
    """Made once a session, and copied for each test; `size` is the JSON of what differs."""
    import torch
    import transformers

    tokenizer = tiny_tokenizer(chat_template=chat_template)
    class_name, fields = _ARCHITECTURES[architecture]
    tokens = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = getattr(transformers, class_name)(
        **{"vocab_size": len(tokenizer), **tokens, **_SIZE, **fields, **json.loads(size)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    place = tempfile.mkdtemp(prefix="tunesmith-fakes-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = Path(place, f"tiny-{architecture.replace('_', '-')}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def edit_json(path: Path, **fields: Any) -> None:
    """Set `fields` in the JSON object in `path`; a field set to None is removed."""
    value = {**json.loads(path.read_text(encoding="utf-8")), **fields}
    kept = {key: field for key, field in value.items() if field is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


_SIZE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}

_MLA: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
"""Multi-head latent attention and routed experts: the first layer dense, the others of 4 experts, 2 in use."""


_COMPRESSED: dict[str, Any] = {
    "num_key_value_heads": 1,
    "head_dim": 16,
    "qk_rope_head_dim": 8,
    "q_lora_rank": 16,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "o_groups": 2,
    "o_lora_rank": 8,
    "index_n_heads": 2,
    "index_head_dim": 16,
    "index_topk": 8,
    "hc_mult": 2,
    "sliding_window": 16,
}
"""DeepSeek-V4: compressed attention, hyper-connections, routed experts, output projection in groups."""


_ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {"head_dim": 8}),
    "deepseek_v2": ("DeepseekV2Config", {**_MLA, "topk_method": "greedy"}),
    "deepseek_v3": ("DeepseekV3Config", _MLA),
    "deepseek_v4": ("DeepseekV4Config", _COMPRESSED),
    "phi3": ("Phi3Config", {}),
    "gpt_neox": ("GPTNeoXConfig", {}),
    "gpt2": ("GPT2Config", {}),
    "opt": ("OPTConfig", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
}


def block_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let every attempt to connect a socket fail; the list that is returned collects the addresses asked for."""
    asked: list[Any] = []

    def refuse(_socket: Any, address: Any) -> None:
        asked.append(address)
        raise OSError(f"the network is blocked in this test, asked for {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    return asked
