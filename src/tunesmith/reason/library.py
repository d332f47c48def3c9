"""Solved examples that a model is shown: from training rows and from verified chains, never from held-out rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from tunesmith.core.files import read_json, write_json, write_text
from tunesmith.core.ids import content_id
from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message, Noun
from tunesmith.reason.held_out import HeldOut, folded
from tunesmith.reason.shelf import RETRIEVERS, Found

_FILE, _HELD_OUT = "library.jsonl", "held_out.json"


class Solved(Noun):
    """A question with a solution that is right.

    Fields:
        id: content id of question and solution.
        question: the user's turn.
        solution: what the assistant says to it, reasoning before the answer.
        task: the system turn that the question stands under; empty where there is none.
        source: where it comes from: `training`, `verified`, `auto_cot`.
    """

    id: str
    question: str
    solution: str
    task: str = ""
    source: str = "training"

    @classmethod
    def of(cls, question: str, solution: str, *, task: str = "", source: str = "training") -> Solved:
        """An example with its id."""
        made = content_id("sol", [task, question, solution])
        return cls(id=made, question=question, solution=solution, task=task, source=source)


class Library:
    """Solved examples, and what must never be among them.

    Args:
        entries: the examples.
        held_out: the rows that the verdict rests on, as hashes.
    """

    def __init__(self, entries: Sequence[Solved] = (), held_out: HeldOut | None = None) -> None:
        self.entries = tuple(entries)
        self.held_out = held_out or HeldOut()
        self._index = cache(self._indexed)

    def __len__(self) -> int:
        return len(self.entries)

    def grown(self, more: Iterable[Solved]) -> tuple[Library, Counter[str]]:
        """A library with more examples, and how many were refused by reason.

        Refused is what a held-out row says (`held-out`, `near-held-out`) and a question that is known (`known`).
        """
        refused: Counter[str] = Counter()
        known = {(entry.task, *folded(entry.question)) for entry in self.entries}
        new: list[Solved] = []
        for one in more:
            key = (one.task, *folded(one.question))
            if why := self.held_out.refuses(one.question) or ("known" if key in known else ""):
                refused[why] += 1
                continue
            known.add(key)
            new.append(one)
        return Library([*self.entries, *new], self.held_out), refused

    def index(self, by: Use) -> Found:
        """The examples' questions, ready to be found; made once for each way."""
        return self._index(json.dumps({"use": by.use, **by.settings}, sort_keys=True))

    def _indexed(self, by: str) -> Found:
        found: Found = RETRIEVERS.build(json.loads(by), where="by").index([entry.question for entry in self.entries])
        return found

    def write(self, folder: Path) -> None:
        """Keep it in a folder, as JSON; what is held out is kept as hashes only."""
        lines = [entry.model_dump_json() + "\n" for entry in self.entries]
        write_text(folder / _FILE, "".join(lines))
        write_json(folder / _HELD_OUT, self.held_out.as_dict())

    @classmethod
    def read(cls, folder: Path) -> Library:
        """What `write` wrote; an empty one where there is none."""
        if not (folder / _FILE).is_file():
            return cls()
        lines = (folder / _FILE).read_text(encoding="utf-8").splitlines()
        held_out = HeldOut.of_dict(read_json(folder / _HELD_OUT))
        return cls([Solved.model_validate_json(line) for line in lines], held_out)


def solved(row: Example) -> Solved | None:
    """A training row as a solved example; None where it is not one question with one good answer, or shows media."""
    turns = [message for message in row.messages if message.role != "system"]
    good = row.desirable is not False and not (row.tools or row.images or row.audio)
    if not good or [turn.role for turn in turns] != ["user", "assistant"] or turns[1].tool_calls:
        return None
    said = f"{turns[1].reasoning}\n{turns[1].content}" if turns[1].reasoning else turns[1].content
    return Solved.of(turns[0].content, said, task=task_of(row.messages))


def task_of(conversation: Conversation) -> str:
    """The system turns of a conversation: questions under the same ones are of the same task."""
    return "\n".join(message.content for message in conversation if message.role == "system")


def question_of(conversation: Conversation) -> str:
    """The last thing that the user said."""
    return next((message.content for message in reversed(conversation) if message.role == "user"), "")


def shown(conversation: Conversation, examples: Sequence[Solved]) -> list[Message]:
    """A conversation with solved examples as earlier turns, behind its system turns."""
    first = next((n for n, message in enumerate(conversation) if message.role != "system"), len(conversation))
    turns = [
        turn
        for example in examples
        for turn in (
            Message(role="user", content=example.question),
            Message(role="assistant", content=example.solution),
        )
    ]
    return [*conversation[:first], *turns, *conversation[first:]]
