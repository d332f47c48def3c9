from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.examples import iterate_examples, read_examples, write_examples
from tunesmith.core.types import Example, Message, ToolCall

TOOL = '{"name": "f", "parameters": {"properties": {"a": {"type": "string"}}, "required": ["a"]}}'
OTHER_TOOL = '{"name": "g", "parameters": {"properties": {"b": {"enum": [1, null]}}}}'


def rows() -> list[Example]:
    call = Message(role="assistant", reasoning="", tool_calls=(ToolCall(name="f", arguments='{"a": "é"}', id="1"),))
    full = Example(
        id="ex-1",
        messages=(Message(role="user", content="诊断?"), call, Message(role="tool", content="4", tool_call_id="1")),
        target="4",
        rejected=Message(role="assistant", content="5"),
        desirable=False,
        tools=(TOOL, OTHER_TOOL),
        images=("a.png",),
        audio=("a.wav",),
        group="g",
        attributes={"sex": "female", "age": "41"},
        kind="unstructured",
        source="s",
        licence="MIT",
        place="rows.jsonl:1",
        parent="ex-0",
        split="test",
    )
    return [full, Example(id="ex-2", messages=(Message(role="user", content="x", trained=False),), split="train")]


def test_everything_comes_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "examples.parquet"
    assert write_examples(path, rows()) == 2
    assert read_examples(path) == rows()


def test_only_the_split_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "examples.parquet"
    write_examples(path, rows())
    assert [e.id for e in read_examples(path, "test")] == ["ex-1"]
    assert read_examples(path, "valid") == []


def test_tool_schemas_are_not_filled_with_nulls(tmp_path: Path) -> None:
    """PAIN 14: two tools with different keys come back as the very text they were."""
    path = tmp_path / "examples.parquet"
    write_examples(path, rows())
    assert read_examples(path)[0].tools == (TOOL, OTHER_TOOL)


def test_the_same_examples_give_the_same_bytes(tmp_path: Path) -> None:
    write_examples(tmp_path / "a.parquet", rows())
    write_examples(tmp_path / "b.parquet", iter(rows()))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_more_rows_than_one_batch(tmp_path: Path) -> None:
    """10,000 rows are three batches of 4,096, 4,096 and 1,808."""
    path = tmp_path / "examples.parquet"
    many = (Example(id=f"ex-{i}", messages=(Message(role="user", content=str(i)),)) for i in range(10_000))
    assert write_examples(path, many) == 10_000
    assert [e.messages[0].content for e in iterate_examples(path)] == [str(i) for i in range(10_000)]


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "examples.parquet"
    assert write_examples(path, []) == 0
    assert read_examples(path) == []


@pytest.mark.parametrize("content", [None, b"", b"not parquet"])
def test_a_file_that_is_not_ours_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "examples.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"examples\.parquet"):
        read_examples(path)
