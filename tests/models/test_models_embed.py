"""Texts as vectors: against a second implementation by hand, whatever stands beside a text, and bad folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from tunesmith.core.errors import UserError
from tunesmith.models.catalog import encoders
from tunesmith.models.embed import Embedder, open_embedder
from tunesmith.models.fetch import asset_path, cache_folder

WORDS = ["[UNK]", "loan", "rate", "fever", "cough", "pump", "valve"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An encoder with random weights and a vocabulary of seven words."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **shape)).save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def by_hand(folder: Path, text: str, *, first: bool = False) -> list[float]:
    """The vector of one text alone, without padding: the mean of its last states, divided by its length."""
    ids = [WORDS.index(word) for word in text.split()]
    with torch.no_grad():
        states = BertModel.from_pretrained(folder).eval()(input_ids=torch.tensor([ids])).last_hidden_state[0]
    pooled = states[0] if first else states.mean(0)
    found: list[float] = (pooled / pooled.norm()).tolist()
    return found


def test_vectors_are_the_mean_of_the_last_states_whatever_stands_beside_a_text(folder: Path) -> None:
    texts = ["loan rate", "fever cough fever pump valve", "pump"]
    vectors = open_embedder(str(folder)).encode(texts)
    assert vectors.shape == (3, 32) and vectors.dtype == np.float32
    for text, vector in zip(texts, vectors, strict=True):
        assert vector == pytest.approx(by_hand(folder, text), abs=1e-5)


def test_a_folder_says_when_the_first_token_is_taken(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    told = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(told))
    (vector,) = open_embedder(folder.name, root=folder.parent).encode(["loan rate fever"])
    assert vector == pytest.approx(by_hand(folder, "loan rate fever", first=True), abs=1e-5)


def test_empty_broken_and_long_texts_have_vectors_too(folder: Path) -> None:
    vectors = open_embedder(str(folder)).encode(["", "\ud800 loan", "loan " * 100, "loan " * 16])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert vectors[2] == pytest.approx(vectors[3], abs=1e-6)  # cut at 16 tokens
    assert open_embedder(str(folder)).encode([]).shape == (0, 32)


@pytest.mark.parametrize("broken", ["pickle", "tokenizer", "weights", "pooling", "nothing"])
def test_a_folder_that_cannot_be_used_is_refused_with_its_place(folder: Path, broken: str) -> None:
    name = str(folder)
    if broken == "pickle":
        (folder / "pytorch_model.bin").write_bytes(b"x")
    elif broken == "tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    elif broken == "weights":
        (folder / "model.safetensors").write_bytes(b"x" * 100)
    elif broken == "pooling":
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    else:
        name = "all-minilm-l6"
    codes = {"pickle": "pickled-file", "weights": "broken-weights", "nothing": "unknown-encoder"}
    with pytest.raises(UserError) as caught:
        open_embedder(name)
    (problem,) = caught.value.problems
    assert problem.code == codes.get(broken, "broken-encoder")
    assert broken != "nothing" or "all-minilm-l6-v2" in problem.hint


@pytest.fixture(scope="module")
def real() -> Embedder:
    (known,) = encoders()
    if not all(asset_path(asset, cache_folder()).is_file() for asset in known.assets):
        pytest.skip("needs the encoder: python -c 'from tunesmith.models.embed import open_embedder; open_embedder()'")
    return open_embedder()


def test_the_known_encoder_hears_the_meaning(real: Embedder) -> None:
    """The same said in other words is nearer than something else said in the same words."""
    said, reworded, other = real.encode(
        ["How much does the loan cost per month?", "What is the monthly price of the credit?", "How much is the fish?"]
    )
    assert said @ reworded > 0.6 > said @ other
    assert real.languages == ("en",) and real.context == 256
