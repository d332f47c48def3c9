from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from reading import read_noting

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example, Message, ToolCall
from tunesmith.data.read.conversations import Conversations

FORMATS = Path(__file__).parents[2] / ".." / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(
    not FORMATS.is_dir(), reason="needs the folder ../shared/data/formats beside the repository"
)

EXPECTED = {
    "alpaca_en_demo.json": {"alpaca": 999},
    "alpaca_zh_demo.json": {"alpaca": 1000},
    "dpo_en_demo.json": {"preference pairs (sharegpt)": 300},
    "glaive_toolcall_en_demo.json": {"sharegpt": 109, "sharegpt with tools": 191},
    "identity.json": {"alpaca": 91},
    "kto_en_demo.json": {"KTO, openai messages": 300},
    "mllm_audio_demo.json": {"openai messages": 3},
    "mllm_demo.json": {"openai messages": 6},
    "reason_tool_use_demo_50.jsonl": {"openai messages": 2, "openai messages with tools": 48},
    "v1_dpo_demo.jsonl": {"preference pairs (two conversations)": 10},
    "v1_multimodal_demo.jsonl": {"openai messages": 24},
    "v1_sft_demo.jsonl": {"openai messages": 500},
}


def read_file(name: str) -> tuple[list[Example], Counter[str]]:
    notes: Counter[str] = Counter()
    items = read_noting(Conversations(path=name), FORMATS, notes)
    return [item for item in items if isinstance(item, Example)], notes


def read(root: Path, *rows: dict[str, Any], **settings: Any) -> list[Example | Drop]:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (root / "rows.jsonl").write_text(text, encoding="utf-8")
    return list(Conversations(path="rows.jsonl", **settings).read(root, ()))


def example(root: Path, row: dict[str, Any]) -> Example:
    (item,) = read(root, row)
    assert isinstance(item, Example), item
    return item


def said(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in messages]


@needs_formats
class TestFilesThatUsersBring:
    @pytest.mark.parametrize("name", EXPECTED)
    def test_every_row_is_read_and_its_shape_told(self, name: str) -> None:
        examples, notes = read_file(name)
        assert notes == {f"format: {shape}": rows for shape, rows in EXPECTED[name].items()}
        assert len(examples) == sum(EXPECTED[name].values())
        assert all(e.messages[-1].role == "assistant" for e in examples)

    def test_every_file_of_the_folder_is_in_this_list(self) -> None:
        files = {f.name for f in FORMATS.glob("*.json*")} - {"dataset_info.json"}
        assert files == set(EXPECTED)

    def test_calls_and_results_of_sharegpt(self) -> None:
        """The file has 211 turns of each: counted with grep -o '"from": "function_call"'."""
        examples, _ = read_file("glaive_toolcall_en_demo.json")
        turns = [m for e in examples for m in e.messages]
        assert sum(len(m.tool_calls) for m in turns) == 211
        assert sum(m.role == "tool" for m in turns) == 211
        schema = json.loads(examples[0].tools[0])
        assert schema["name"] == "search_recipes"
        assert set(schema) == {"name", "description", "parameters"}  # nothing filled in (PAIN 14)

    def test_reasoning_and_several_calls_in_one_turn(self) -> None:
        """41 turns with one call, 9 with two, 3 with three: 68 calls; 112 assistant turns, all with reasoning."""
        examples, _ = read_file("reason_tool_use_demo_50.jsonl")
        turns = [m for e in examples for m in e.messages if m.role == "assistant"]
        assert sum(len(m.tool_calls) for m in turns) == 68
        assert len(turns) == 112
        assert all(m.reasoning for m in turns)

    def test_pairs_and_verdicts(self) -> None:
        pairs = read_file("dpo_en_demo.json")[0] + read_file("v1_dpo_demo.jsonl")[0]
        assert all(e.rejected and e.rejected != e.messages[-1] for e in pairs)
        verdicts = Counter(e.desirable for e in read_file("kto_en_demo.json")[0])
        assert set(verdicts) == {True, False}
        assert verdicts.total() == 300

    def test_media_stand_where_the_text_shows_them(self) -> None:
        for name in ("mllm_demo.json", "v1_multimodal_demo.jsonl"):
            for e in read_file(name)[0]:
                assert sum(m.content.count("<image>") for m in e.messages) == len(e.images) > 0
        assert read_file("mllm_audio_demo.json")[0][1].audio == ("mllm_demo_data/2.wav",)


def test_alpaca_with_system_and_history(tmp_path: Path) -> None:
    row = {"instruction": "Add", "input": "1 2", "output": "3", "system": "S", "history": [["q", "a"]]}
    assert said(example(tmp_path, row).messages) == [
        ("system", "S"),
        ("user", "q"),
        ("assistant", "a"),
        ("user", "Add\n1 2"),
        ("assistant", "3"),
    ]


def test_openai_tool_calls_keep_their_argument_text(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a":  2.50}'}}
    row = {
        "messages": [
            {"role": "developer", "content": "S"},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
            {"role": "assistant", "content": "four"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }
    e = example(tmp_path, row)
    assert [m.role for m in e.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert e.messages[2].tool_calls == (ToolCall(name="f", arguments='{"b": 1, "a":  2.50}', id="c1"),)
    assert e.messages[3].tool_call_id == "c1"
    assert e.tools == ('{"type": "function", "function": {"name": "f", "parameters": {}}}',)


@pytest.mark.parametrize(
    ("turn", "reasoning", "content"),
    [
        ({"content": "<think>\nfirst\n</think>\n\nanswer"}, "first", "answer"),
        ({"content": "<think></think>answer"}, "", "answer"),
        ({"content": "answer <think>late</think>"}, None, "answer <think>late</think>"),
        ({"content": "answer", "reasoning_content": "why"}, "why", "answer"),
        ({"content": [{"type": "reasoning", "value": "why"}, {"type": "text", "text": "answer"}]}, "why", "answer"),
    ],
)
def test_reasoning(tmp_path: Path, turn: dict[str, Any], reasoning: str | None, content: str) -> None:
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", **turn}]}
    last = example(tmp_path, row).messages[-1]
    assert (last.reasoning, last.content) == (reasoning, content)


@pytest.mark.parametrize(
    ("weight", "trained"), [({}, True), ({"loss_weight": 0.0}, False), ({"weight": 1}, True), ({"train": False}, False)]
)
def test_single_turns_can_be_switched_off(tmp_path: Path, weight: dict[str, Any], trained: bool) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", **weight}]
    assert example(tmp_path, {"messages": turns}).messages[-1].trained is trained


USER, GOOD, BAD = ({"role": r, "content": c} for r, c in (("user", "q"), ("assistant", "good"), ("assistant", "bad")))


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "q"}], "chosen": GOOD, "rejected": BAD},
        {"messages": [USER], "chosen": GOOD, "rejected": BAD},
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"chosen_messages": [USER, GOOD], "rejected_messages": [USER, BAD]},
        {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
    ],
)
def test_preference_pairs_in_every_shape(tmp_path: Path, row: dict[str, Any]) -> None:
    e = example(tmp_path, row)
    assert said(e.messages) == [("user", "q"), ("assistant", "good")]
    assert e.rejected == Message(role="assistant", content="bad")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [USER]}, "no-answer"),
        ({"messages": []}, "empty-conversation"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "empty-answer"),
        ({"messages": [USER, {"role": "asistant", "content": "a"}]}, "unknown-role"),
        ({"messages": "q"}, "broken-turn"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "video", "value": "v"}]}]}, "unknown-part"),
        ({"messages": [USER, {"role": "function_call", "content": "{broken"}]}, "broken-tool-call"),
        ({"messages": [USER, GOOD], "tools": "{broken"}, "broken-tools"),
        ({"chosen": [USER, GOOD], "rejected": [GOOD, BAD]}, "no-common-prompt"),
        ({"question": "q", "answer": "a"}, "unknown-format"),
    ],
)
def test_a_row_that_is_not_understood_is_a_drop_with_its_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    kept, dropped = read(tmp_path, {"messages": [USER, GOOD]}, row)
    assert isinstance(kept, Example)
    assert isinstance(dropped, Drop)
    assert (dropped.reason, dropped.place) == (reason, "rows.jsonl:2")
    assert dropped.detail


def test_a_file_without_any_known_shape_is_told_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, {"question": "q", "answer": "a"})
    (problem,) = caught.value.problems
    assert problem.code == "unknown-format"
    assert "question, answer" in problem.message
    assert "use: table" in problem.hint


def test_target_group_and_attributes_are_keys_of_the_row(tmp_path: Path) -> None:
    row = {"messages": [USER, GOOD], "label": "g", "patient": 7, "sex": "f"}
    (e,) = read(tmp_path, row, target="label", group="patient", attributes=("sex",), split="valid")
    assert isinstance(e, Example)
    assert (e.target, e.group, e.attributes, e.split, e.desirable) == ("g", "7", {"sex": "f"}, "valid", None)
