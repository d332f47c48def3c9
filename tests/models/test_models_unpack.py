"""GGUF files: a tiny model written in the format comes back with the same weights, once, and checked.

The real model's own test needs the 98 MB file; it is skipped where that was never fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import block_network, tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.models import catalog, unpack
from tunesmith.models.fetch import cache_folder
from tunesmith.models.load import at_hand, load_model, load_tokenizer, locate, resolve
from tunesmith.models.spec import ModelSpec


def write_gguf(model: Path, path: Path) -> Path:
    """The tiny Llama in `model` as a GGUF file in float32, as llama.cpp's converter lays it out."""
    import gguf

    network, tokenizer = load_model(model), load_tokenizer(model)
    config = network.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, tokenizer)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in network.state_dict().items():
        array = tensor.numpy()
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if part in name:  # llama.cpp rotates neighbouring numbers, transformers the two halves of a head
                array = array.reshape(heads, 2, array.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer: Any, tokenizer: Any) -> None:
    import json

    core = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(core["vocab"], key=core["vocab"].get)
    special = set(tokenizer.all_special_tokens) | {"<|endoftext|>"}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in core["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("own_cache")
def test_a_gguf_file_is_unpacked_once_and_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    model = tiny_model_folder(tmp_path)
    file = write_gguf(model, tmp_path / "tiny.gguf")
    asked = block_network(monkeypatch)
    told: list[Event] = []
    spec = ModelSpec(use="tiny.gguf")
    assert locate(spec, tmp_path) is None
    found = resolve(spec, tmp_path, Events(told.append))
    assert found.source == "gguf" and [event.kind for event in told][:1] == ["note"]

    before, after = load_model(model), load_model(found.path)
    ids = torch.arange(5, 45)[None]
    torch.testing.assert_close(after(ids).logits, before(ids).logits, rtol=1e-5, atol=1e-6)
    assert not getattr(after, "is_quantized", False) and not hasattr(after.config, "quantization_config")
    assert after.train().training
    old, new = load_tokenizer(model), load_tokenizer(found.path)
    assert new.chat_template == old.chat_template
    text = "The patient's answer: <|im_start|>yes<|im_end|> 一"
    assert new(text).input_ids == old(text).input_ids
    assert asked == []

    again: list[Event] = []
    assert resolve(spec, tmp_path, Events(again.append)) == found
    assert again == []
    assert file.is_file()


@pytest.mark.usefixtures("own_cache")
def test_an_unpacked_model_that_was_changed_is_refused_and_made_again(tmp_path: Path) -> None:
    file = write_gguf(tiny_model_folder(tmp_path), tmp_path / "tiny.gguf")
    spec = ModelSpec(use=str(file))
    found = resolve(spec, tmp_path, Events())
    weights = found.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(UserError) as caught:
        load_model(found.path)
    assert caught.value.problems[0].code == "changed-model"
    told: list[Event] = []
    load_model(resolve(spec, tmp_path, Events(told.append)).path)
    assert "changed since it was unpacked" in told[0].message


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 400])
def test_a_broken_gguf_file_is_one_clear_problem_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="broken.gguf"), tmp_path, Events())
    assert [problem.code for problem in caught.value.problems] == ["broken-gguf"]
    assert not list((cache_folder() / "models").glob("*"))


def test_the_guard_refuses_a_model_that_does_not_speak(tmp_path: Path) -> None:
    """Random weights over 400 tokens have a mean loss near ln 400 = 5.99, far above 3."""
    model = tiny_model_folder(tmp_path)
    loaded, tokenizer = load_model(model), load_tokenizer(model)
    (problem,) = unpack.guard_problems(loaded, tokenizer, loss_below=3.0, place=model)
    assert problem.code == "broken-model" and "expected under 3.00" in problem.message

    class Forgetful:
        def __call__(self, text: str, **settings: Any) -> Any:
            return tokenizer(text, **settings)

        def decode(self, ids: Any) -> str:
            return str(tokenizer.decode(ids)).replace(" ", "")

    (problem,) = unpack.guard_problems(loaded, Forgetful(), loss_below=3.0, place=model)
    assert problem.code == "broken-tokenizer"


@pytest.mark.model
def test_smollm2_speaks_after_it_was_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.9 nats per token; 134,515,008 weights; ChatML that puts its own system prompt first."""
    entry = catalog.lookup("smollm2-135m-instruct")
    if not at_hand(entry):
        pytest.skip("needs the real model: tunesmith fetch smollm2-135m-instruct")
    asked = block_network(monkeypatch)
    found = resolve(ModelSpec(use=entry.name), Path(), Events())
    model, tokenizer = load_model(found.path), load_tokenizer(found.path)
    assert unpack.guard_problems(model, tokenizer, loss_below=2.5, place=found.path) == []
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    text = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert asked == []
