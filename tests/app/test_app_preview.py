"""`data preview` on the conversation formats that users bring: what is trained is what the assistant says, no more.

The mask is checked from outside: the trained pieces are compared with the assistant's own texts as they stand in the
source file, read here with json alone.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from project_fakes import FORMATS, tiny_model
from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import UserError

FILES = sorted(p for p in FORMATS.glob("*.json*") if p.name != "dataset_info.json") if FORMATS.is_dir() else []
MEDIA = {"mllm_demo.json", "mllm_audio_demo.json", "v1_multimodal_demo.jsonl"}
END = "<|im_end|>"
ROWS = 30

needs_formats = pytest.mark.skipif(not FILES, reason=f"needs the conversation formats in {FORMATS}")


def smollm2() -> str | None:
    """The real model's name where it is on this disk already; nothing is fetched for a test."""
    from tunesmith.models import catalog
    from tunesmith.models.load import at_hand

    entry = catalog.find("smollm2-135m-instruct")
    return entry.name if entry and at_hand(entry) else None


@pytest.fixture(scope="module", params=["tiny", pytest.param("real", marks=pytest.mark.model)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "tiny":
        return str(tiny_model(tmp_path_factory.mktemp("preview")))
    found = smollm2()
    if found is None:
        pytest.skip("needs SmolLM2-135M-Instruct on this disk: tunesmith fetch smollm2-135m-instruct")
    return found


def source_rows(path: Path) -> list[Any]:
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line] if path.suffix == ".jsonl" else json.loads(text)


def texts_in(value: Any) -> list[str]:
    """Every text in a row of the source, however deep."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in items for text in texts_in(item)]


def asked_texts(row: dict[str, Any]) -> list[str]:
    """What users and systems say in a row, by the keys of the formats: never to be trained."""
    found = [row[key] for key in ("instruction", "input", "system") if isinstance(row.get(key), str)]
    for turn in [t for key in ("messages", "conversations") for t in row.get(key) or [] if isinstance(t, dict)]:
        if (turn.get("role") or turn.get("from")) in {"user", "system", "human", "observation", "tool"}:
            found += texts_in(turn.get("content") or turn.get("value"))
    return [text for text in found if len(text) > 30]


@needs_formats
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_only_the_assistant_is_trained_and_every_turn_ends(path: Path, model: str) -> None:
    """Each trained piece is one whole assistant turn and the token that ends it; nothing anybody asked is in it."""
    (shown,) = Workshop().preview([path], model=model, rows=ROWS)
    given = source_rows(path)
    assert shown["total"] + len(shown["drops"]) == len(given)
    if path.name in MEDIA and not shown["rows"]:
        assert shown["drops"]  # told, not silently passed over
        return
    assert shown["rows"]
    turns: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in shown["rows"]:
        pieces = row["pieces"]
        trained = [piece["text"] for piece in pieces if piece["trained"]]
        prompt = "".join(piece["text"] for piece in pieces if not piece["trained"])
        source = given[int(row["place"].rpartition(":")[2]) - 1]
        said = [re.sub(r"\s", "", text) for text in texts_in(source)]
        assert row["end_of_turn_trained"] and row["trained"] > 0
        assert row["trained_turns"] == len(trained)
        turns[row["place"]].append((row["assistant_turns"], row["trained_turns"]))
        for text in trained:
            assert text.endswith(END) and text.count(END) == 1
            assert "<|im_start|>" not in text
            words = re.sub(r"\s|<tool_call>.*|<think>|</think>", "", text.removesuffix(END), flags=re.DOTALL)
            assert any(words in one or one in words for one in said), text
        for asked in asked_texts(source):
            assert all(asked not in text for text in trained)
        assert prompt.count("<|im_start|>assistant") >= len(trained)
    for counts in turns.values():  # one row, or one for each turn where the template rewrites earlier turns
        assert len({said for said, _ in counts}) == 1
        assert sum(trained for _, trained in counts) == counts[0][0]


@needs_formats
def test_every_assistant_turn_is_trained_word_for_word(model: str) -> None:
    """All 500 rows of `v1_sft_demo.jsonl`; each has one assistant turn, so the next test looks at several."""
    path = FORMATS / "v1_sft_demo.jsonl"
    (shown,) = Workshop().preview([path], model=model, rows=10_000)
    given = source_rows(path)
    assert len(shown["rows"]) == len(given) == 500
    for row, source in zip(shown["rows"], given, strict=True):
        answers = [
            "".join(part["value"] for part in turn["content"] if part["type"] == "text")
            for turn in source["messages"]
            if turn["role"] == "assistant"
        ]
        trained = [piece["text"].removesuffix(END) for piece in row["pieces"] if piece["trained"]]
        assert [text.strip() for text in trained] == [answer.strip() for answer in answers]


@needs_formats
@pytest.mark.parametrize("name", ["glaive_toolcall_en_demo.json", "kto_en_demo.json"])
def test_conversations_of_several_turns_are_trained_at_each_of_them(name: str, model: str) -> None:
    (shown,) = Workshop().preview([FORMATS / name], model=model, rows=60)
    several = [row for row in shown["rows"] if row["assistant_turns"] > 1]
    assert several
    assert all(row["trained_turns"] == row["assistant_turns"] and row["end_of_turn_trained"] for row in several)


def test_a_missing_file_is_told_before_any_model_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError) as caught:
        Workshop().preview([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert [problem.code for problem in caught.value.problems] == ["missing-file", "missing-file"]
    assert not os.path.exists(tmp_path / "cache")
