"""What every retriever of the shelf must do, the embedding one with an encoder of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from tunesmith.reason.shelf import RETRIEVERS, Found

QUESTIONS = ["loan rate loan", "fever cough", "pump valve", "loan fever", "rate valve cough"]
WORDS = ["[UNK]", *dict.fromkeys(" ".join(QUESTIONS).split())]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights that knows the words of the questions."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **shape)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(params=RETRIEVERS.names())
def found(request: pytest.FixtureRequest, encoder: Path) -> Found:
    settings: dict[str, Any] = {"encoder": str(encoder)} if request.param == "embedding" else {}
    indexed: Found = RETRIEVERS.build({"use": request.param, **settings}).index(QUESTIONS)
    return indexed


def test_an_example_is_most_like_itself(found: Found) -> None:
    scores = found.scores(QUESTIONS)
    assert scores.shape == (5, 5) and scores.min() >= 0 and scores.max() <= 1 + 1e-6
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 4]


def test_likeness_is_mutual(found: Found) -> None:
    alike = found.alike([4, 0, 2])
    assert alike.shape == (3, 3) and alike == pytest.approx(alike.T) and np.diag(alike) == pytest.approx(1)
    assert alike.min() >= 0 and alike.max() <= 1 + 1e-6


def test_a_score_does_not_depend_on_what_is_asked_beside_it(found: Found) -> None:
    asked = ["valve rate", "cough", "loan pump"]
    assert found.scores(asked)[1:2] == pytest.approx(found.scores(asked[1:2]), abs=1e-6)


def test_every_example_has_a_vector(found: Found) -> None:
    assert found.vectors().shape[0] == len(QUESTIONS)


def test_words_that_nobody_knows_are_like_nothing_in_particular(found: Found) -> None:
    assert np.isfinite(found.scores(["", "zebra"])).all()
