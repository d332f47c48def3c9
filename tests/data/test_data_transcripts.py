"""Chat transcripts: who speaks is told by the name before the colon."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from reading import read_noting

from tunesmith.core.errors import UserError
from tunesmith.core.types import Drop, Example
from tunesmith.data.read.transcripts import Transcripts

CALLS = """\
System: The caller is a customer.
Ann: My card is gone.
It was blue.
Agent: I am sorry.
Agent: Shall I block it?
Ann: Yes: now.
Agent: Done.
Ann: Thanks.
---
Bob: Hello?
---
[2024-01-02, 10:02] Bob: Is 10:30 free?
[2024-01-02, 10:03] Agent: Yes.
"""


def read(root: Path, text: str, **more: object) -> list[Example | Drop]:
    (root / "calls.txt").write_text(text, encoding="utf-8")
    return list(Transcripts("calls.txt", **more).read(root, ()))  # type: ignore[arg-type]


def said(item: Example | Drop) -> list[tuple[str, str]]:
    assert isinstance(item, Example), item
    return [(message.role, message.content) for message in item.messages]


def test_turns_roles_and_places(tmp_path: Path) -> None:
    first, second, third = read(tmp_path, CALLS)
    assert said(first) == [
        ("system", "The caller is a customer."),
        ("user", "My card is gone.\nIt was blue."),
        ("assistant", "I am sorry.\nShall I block it?"),
        ("user", "Yes: now."),
        ("assistant", "Done."),
    ]
    assert isinstance(second, Drop) and (second.place, second.reason) == ("calls.txt:10", "no-answer")
    assert said(third) == [("user", "Is 10:30 free?"), ("assistant", "Yes.")]
    assert (third.place, third.byte) == ("calls.txt:12", CALLS.index("[2024-01-02, 10:02]"))


def test_what_nothing_answers_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "calls.txt").write_text(CALLS, encoding="utf-8")
    notes: Counter[str] = Counter()
    read_noting(Transcripts("calls.txt"), tmp_path, notes)
    assert notes["turns after the last answer, left out"] == 1
    assert notes["speaker: Agent"] == 2


def test_names_are_settings_and_chinese_colons_are_colons(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "患者：头痛三天。\n医生：有发热吗？\n患者：没有。\n医生：请休息。\n", assistant=("医生",))
    assert said(item)[-1] == ("assistant", "请休息。")
    assert [role for role, _ in said(item)] == ["user", "assistant", "user", "assistant"]


def test_a_file_in_which_no_assistant_speaks_is_a_problem_that_names_who_does(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"those who do: Agnet, Ann") as caught:
        read(tmp_path, "Ann: Hello\nAgnet: Hi\n")
    assert [problem.code for problem in caught.value.problems] == ["no-answer"]


def test_lines_that_cannot_be_read_are_drops_and_the_talk_goes_on(tmp_path: Path) -> None:
    (tmp_path / "calls.txt").write_bytes(b"Ann: Hello\nAnn: \xff\nAgent: Hi\n")
    bad, good = Transcripts("calls.txt").read(tmp_path, ())
    assert isinstance(bad, Drop) and (bad.reason, bad.place, bad.byte) == ("invalid-utf8", "calls.txt:2", 11)
    assert said(good) == [("user", "Hello"), ("assistant", "Hi")]


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / "calls" / name).write_text(f"Ann: {name}\nAgent: Yes\n", encoding="utf-8")
    items = list(Transcripts("calls").read(tmp_path, ()))
    assert [item.place for item in items] == ["calls/a.txt:1", "calls/b.txt:1"]


@pytest.mark.parametrize(
    "text", ["a" * 100_000, ":" * 100_000, "[" + "1" * 100_000, "x: " * 30_000, " " * 100_000 + "x"]
)
def test_lines_that_make_expressions_backtrack_take_no_time(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"Ann: q\n{text}\nAgent: a\n")
