"""A model written as GGUF is the same model: read back by transformers, and by llama.cpp where its binding is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import edit_json, tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.types import Message
from tunesmith.models.chat import Chat
from tunesmith.models.gguf_file import Weights, modelfile, opened_gguf, split_name, write_gguf
from tunesmith.models.load import load_model

IDS = torch.tensor([[5, 60, 7, 120, 33, 210, 9]])
ASK = [Message(role="user", content="The capital of France?")]


def folder_of(place: Path, architecture: str) -> Path:
    """Widths are multiples of 32, so that every matrix has 8-bit blocks.

    Transformers reads a Qwen3 of GGUF with heads of 128 only, which all of that family have.
    """
    width = 128 if architecture == "qwen3" else 16
    folder: Path = tiny_model_folder(place, architecture, hidden_size=64, initializer_range=0.2, head_dim=width)
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits.log_softmax(-1)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("weights, apart", [("f32", 1e-4), ("q8_0", 0.15)])
def test_what_is_written_is_the_same_model(tmp_path: Path, architecture: str, weights: Weights, apart: float) -> None:
    """In 32 bits to rounding, in 8 bits nearly: mean difference of log-probabilities over all tokens and places."""
    folder = folder_of(tmp_path, architecture)
    file = tmp_path / "out" / "model.gguf"
    file.parent.mkdir()
    write_gguf(folder, file, weights=weights)
    expected, found = logits(load_model(folder)), logits(opened_gguf(file))
    assert float((expected - found).abs().mean()) < apart


@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp, a binding of llama.cpp: pip install xllamacpp",
)
def test_llama_cpp_says_the_same(tmp_path: Path) -> None:
    """The same greedy answer and as many tokens in, through llama.cpp's own template and tokeniser."""
    import xllamacpp

    from tunesmith.models.witness import take_witness

    folder = folder_of(tmp_path, "llama")
    write_gguf(folder, tmp_path / "model.gguf", weights="f32")
    expected = take_witness(load_model(folder), Chat.of(folder), [ASK], form="x", at_most_tokens=6).said[0]
    params = xllamacpp.CommonParams()
    params.model.path = str(tmp_path / "model.gguf")
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 256, 1, 1
    params.use_jinja = True
    server = xllamacpp.Server(params)
    body = {"messages": [{"role": "user", "content": ASK[0].content}], "max_tokens": 6, "temperature": 0}
    told = server.handle_chat_completions(body)
    assert told["usage"]["prompt_tokens"] == expected.prompt_tokens
    assert told["choices"][0]["message"]["content"].strip() == expected.text.strip()


def test_what_cannot_be_written_is_told_all_at_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "llama")
    edit_json(folder / "config.json", architectures=["PhiForCausalLM"], rope_scaling={"rope_type": "yarn", "factor": 4})
    edit_json(folder / "config.json", rope_parameters=None)
    edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "Metaspace"})
    with pytest.raises(UserError) as caught:
        write_gguf(folder, tmp_path / "model.gguf")
    assert [problem.code for problem in caught.value.problems] == ["no-gguf"] * 3
    assert not (tmp_path / "model.gguf").exists()


def test_the_way_of_splitting_has_llama_cpps_name() -> None:
    """SmolLM2: single digits, then bytes; GPT-2: bytes with its pattern; Llama 3: up to three digits."""
    bytes_ = {"type": "ByteLevel", "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    split = {"type": "Split", "pattern": {"Regex": r"(?i:'s)|\p{N}{1,3}|\s+"}}
    assert split_name({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, bytes_]}}) == "smollm"
    assert split_name({"pre_tokenizer": bytes_}) == "gpt-2"
    assert split_name({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]}}) == "llama-bpe"
    assert split_name({"pre_tokenizer": {"type": "Metaspace"}}) is None


def test_the_modelfile_stops_where_the_template_ends_a_turn() -> None:
    assert modelfile("model.gguf", stops=["<|im_end|>", '"'], context=512) == (
        "FROM ./model.gguf\nPARAMETER temperature 0\nPARAMETER num_ctx 512\n"
        'PARAMETER stop "<|im_end|>"\nPARAMETER stop "\\""\n'
    )
