"""Chains that pass become rows that the data room reads; what becomes of every other question is counted."""

from __future__ import annotations

import json
from pathlib import Path

from reason_fakes import Drawer, NoSevens, asked
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Example, Message, Usage, example_id
from tunesmith.data.read.conversations import Conversations
from tunesmith.reason.distil import learn
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths.self_consistency import SelfConsistency


def row(question: str, answer: str) -> Example:
    messages = (*asked(question, "Be brief."), Message(role="assistant", content=answer))
    return Example(id=example_id(messages, None), messages=messages, split="train")


ROWS = [
    row("good", "4"),
    row("wrong", "4"),
    row("sevens", "4"),
    row("silent", "4"),
    row("open", "as you like it to be, at length"),
]


def says(conversation: Conversation, number: int) -> Answer:
    """To `good`: wrong, right and long, right and short, right but with a seven."""
    kind = conversation[-1].content
    if kind == "silent":
        return Answer(text="", stop="error", evidence={"error": "endpoint-slow"})
    text = {"wrong": "5", "sevens": "4"}.get(kind, ["5", "4", "4", "4"][number])
    thought = {"sevens": "17 or so."}.get(kind, ["Hm.", "Long thought.", "Two and two.", "7 less 3."][number])
    return Answer(text=text, reasoning=thought, usage=Usage(reasoning_tokens=9 - number, answer_tokens=1))


def test_the_best_chain_of_each_question_becomes_a_row(tmp_path: Path) -> None:
    line = Line(SelfConsistency(draws=4), checks=(NoSevens(),), conclude="number")
    seen: list[tuple[int, int]] = []
    told = learn(
        Job.of(line, Drawer(says), at_most_tokens=9),
        ROWS,
        tmp_path / "learnt.jsonl",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert (told.asked, told.kept, told.chains) == (5, 1, 16)
    assert dict(told.left) == {"no-reference": 1, "wrong": 1, "against": 1, "backend: endpoint-slow": 1}
    assert told.asked == told.kept + sum(told.left.values())
    assert told.tokens == 3 * (10 + 9 + 8 + 7) and seen == [(5, 5)]
    (made,) = [json.loads(line) for line in (tmp_path / "learnt.jsonl").read_text().splitlines()]
    assert made["parent"] == ROWS[0].id and made["source"] == "direct"
    source = Conversations(path="learnt.jsonl", target="target", split="train")
    (read,) = source.read(tmp_path, ())
    assert isinstance(read, Example)
    assert read.prompt == ROWS[0].prompt and read.target == "4"
    assert (read.messages[-1].reasoning, read.messages[-1].content) == ("Two and two.", "4")
