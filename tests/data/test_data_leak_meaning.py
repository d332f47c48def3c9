"""Questions that mean the same, by the vectors of an encoder: a made-up one, and the real one on planted copies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rewording import reworded
from test_data_leak import asking, dealt
from test_data_line import run
from test_data_stage import TABLE, write

from tunesmith.core.protocols import Here
from tunesmith.core.types import Example, Message
from tunesmith.data import stage, vectors
from tunesmith.data.index import index_of
from tunesmith.data.leak import Match, matches
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.spec import DataSpec
from tunesmith.data.vectors import Encoding, Vectors
from tunesmith.models.catalog import encoders
from tunesmith.models.fetch import asset_path, cache_folder

IDEAS = {"fever": 0, "temperature": 0, "child": 1, "kid": 1, "pump": 2, "valve": 3, "treat": 4, "cure": 4, "sell": 5}


@dataclass(frozen=True)
class ByIdeas:
    """An encoder for which a text is the ideas that its words stand for, one axis each."""

    languages: tuple[str, ...] = ("en",)

    def encode(self, texts: Sequence[str]) -> Any:
        found = np.zeros((len(texts), 8), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                found[row, IDEAS.get(word, 7)] += 1
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoding:
    """Opened under this test's own folder, because what is opened is kept."""
    monkeypatch.setattr(vectors, "open_embedder", lambda name, root: ByIdeas())
    return Encoding("made-up", tmp_path)


def found(train: list[str], test: list[str], spec: Leaks, encoding: Encoding) -> dict[int, Match]:
    """Number of the test question -> as what it was found in training."""
    rows = [*(asking(text, split="train") for text in train), *(asking(text, split="test") for text in test)]
    index = index_of(rows, near=False, encoding=encoding)
    held = index.of_split("test")
    told = matches(index, held=held, others=~held, spec=spec).of_held()
    return {row - len(train): match for row, match in told.items()}


ONLY = Leaks(contained=None, reworded=None, meaning=0.9)


def test_the_same_ideas_in_other_words_are_found(encoding: Encoding) -> None:
    """`treat fever child` and `cure temperature kid` have one vector; with `pump` for `child` the cosine is 2/3."""
    told = found(["treat fever child", "sell pump"], ["cure temperature kid", "treat fever pump"], ONLY, encoding)
    assert told == {0: Match("meaning", 0, 1.0)}
    loose = ONLY.model_copy(update={"meaning": 0.6})
    assert found(["treat fever child"], ["treat fever pump"], loose, encoding)[0].score == pytest.approx(
        2 / 3, abs=1e-3
    )


def test_other_numbers_are_another_question(encoding: Encoding) -> None:
    assert found(["treat fever of 39 5"], ["cure temperature of 41 2"], ONLY, encoding) == {}
    assert found(["treat fever of 39 5"], ["cure temperature of 39 2"], ONLY, encoding).keys() == {0}


def test_stricter_kinds_come_first_and_another_language_has_no_vector(encoding: Encoding) -> None:
    told = found(["treat fever", "退烧 怎么 办 呢"], ["Treat fever!", "退烧 怎么 办"], ONLY, encoding)
    assert {row: match.kind for row, match in told.items()} == {0: "folded"}
    rows = [asking("退烧 怎么 办", split="test"), asking("treat", split="test")]
    assert encoding.read(rows, ()).any(axis=1).tolist() == [False, True]


def test_plain_texts_ask_nothing(encoding: Encoding) -> None:
    text = Example(id="ex-1", messages=(Message(role="user", content="treat fever"),), kind="unstructured")
    assert text.text is not None
    assert not encoding.read([text], ()).any()


def test_vectors_of_several_files_are_read_in_the_order_that_is_asked_for() -> None:
    rows = np.arange(12, dtype=np.float16).reshape(6, 2)
    many = Vectors([rows[:1], rows[1:4], rows[4:]])
    asked = np.array([5, 0, 3, 3, 4])
    lengths = np.linalg.norm(rows[asked].astype(np.float32), axis=1, keepdims=True)
    assert np.allclose(many.of(asked), rows[asked] / lengths)
    assert many.there(asked).tolist() == [True, True, True, True, True]
    assert Vectors([np.zeros((2, 2), dtype=np.float16)]).there(np.array([1])).tolist() == [False]


SECTION: dict[str, Any] = {
    "sources": [
        {**TABLE, "path": "train.jsonl", "template": "{text}", "split": "train"},
        {**TABLE, "path": "test.jsonl", "template": "{text}", "split": "test"},
    ],
    "leaks": {"contained": None, "reworded": None, "meaning": 0.9, "encoder": "made-up"},
    "limits": {"reworded_leak": 0.2},
}


def test_the_stage_tells_it_and_the_gate_judges_it(encoding: Encoding) -> None:
    """One of two English held-out questions stands in training in other words, a third is Chinese: 1/3 above 0.2."""
    write(encoding.root, "train.jsonl", [("treat fever child", "good"), ("sell pump valve", "bad")])
    write(encoding.root, "test.jsonl", [("cure temperature kid", "good"), ("sell fever", "bad"), ("退烧怎么办", "bad")])
    snapshot = run(encoding.root, "out", Here(), SECTION)
    told = snapshot.leakage["test"]
    assert told["kinds"]["meaning"] == 1 and told["kinds"]["near"] == 0 and told["without_vector"] == 1
    assert [pair["match"] for pair in told["pairs"]] == ["meaning"]
    verdicts = {reason.code: reason.verdict for gate in snapshot.gates for reason in gate.reasons}
    assert verdicts["train-test-leak"] == "failed"
    sheet = (encoding.root / "out" / "datasheet.md").read_text("utf-8")
    assert "1 held-out questions are in a language" in sheet


def test_an_encoder_that_is_not_there_is_a_problem_of_the_check(tmp_path: Path) -> None:
    section = {"leaks": {"meaning": 0.9, "encoder": "all-minilm-l6"}, "sources": []}
    found = {problem.code: problem for problem in stage.check(DataSpec.model_validate(section), tmp_path)}
    assert "all-minilm-l6-v2" in found["unknown-encoder"].hint
    section["leaks"] = {"encoder": "all-minilm-l6"}
    assert "unknown-encoder" not in {p.code for p in stage.check(DataSpec.model_validate(section), tmp_path)}


def test_another_encoder_of_ones_own_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text("{}")
    spec = replace_encoder("own")
    before = vectors.digests(spec, tmp_path)
    (tmp_path / "own" / "config.json").write_text('{"a": 1}')
    assert before.keys() == {"own"} and before != vectors.digests(spec, tmp_path)
    assert vectors.digests(replace_encoder("all-minilm-l6-v2"), tmp_path) == {}


def replace_encoder(name: str) -> Leaks:
    return ONLY.model_copy(update={"encoder": name})


@pytest.fixture(scope="module")
def real() -> Encoding:
    (known,) = encoders()
    if not all(asset_path(asset, cache_folder()).is_file() for asset in known.assets):
        pytest.skip("needs the encoder: python -c 'from tunesmith.models.embed import open_embedder; open_embedder()'")
    return Encoding(known.name, Path())


@pytest.mark.slow
def test_the_real_encoder_finds_planted_copies(real: Encoding) -> None:
    """150 copies with three of ten words changed, among 300 other questions: 90 % and more at 0.8, by meaning alone."""
    copies, train = dealt("gsm8k", 150)
    draw, loose = random.Random(11), ONLY.model_copy(update={"meaning": 0.8})
    told = found([*train[:300], *(reworded(text, draw) for text in copies)], copies, loose, real)
    assert len(told) >= 0.9 * len(copies), f"{len(told)} of {len(copies)}"
    assert all(match.row >= 300 for match in told.values())
