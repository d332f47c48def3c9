"""What of a row is compared with other rows: its own words, not the system prompt that all of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunesmith.core.types import Example, Message, Split
from tunesmith.data.similarity import normalised

_SHARED_SHARE = 0.05
GENERAL: Split = "general"
"""The split of rows that are not of the domain: trained on against forgetting, and never split or judged by."""


def parts_of(examples: Sequence[Example]) -> list[bool]:
    """Per row, whether it is general: what is common in the domain is looked for apart from what is common there."""
    return [example.split == GENERAL for example in examples]


def own_texts(examples: Sequence[Example]) -> list[str]:
    """Per row, everything said in it: questions, answers, reasoning, calls, the rejected turn, media; normalised."""
    shared = _shared_system_texts(examples)
    return [_joined([*_system(e, shared), *(_said(m) for m in _turns(e)), *e.images, *e.audio]) for e in examples]


def questions(examples: Sequence[Example]) -> list[str]:
    """Per row, what an answerer is asked: the user's turns and media, normalised; answers are left out."""
    shared = _shared_system_texts(examples)
    return [
        _joined([*_system(e, shared), *(m.content for m in e.messages if m.role == "user"), *e.images, *e.audio])
        for e in examples
    ]


def answers(examples: Sequence[Example]) -> list[str]:
    """Per row, what decides whether equal questions are copies or contradict each other: the target and the verdict."""
    return [normalised(e.target or "") + ("" if e.desirable is None else f" desirable={e.desirable}") for e in examples]


def _shared_system_texts(examples: Sequence[Example]) -> set[str]:
    """System texts that stand in at least two rows and 5 % of the domain's or the general rows: a prompt."""
    shared: set[str] = set()
    for general in (False, True):
        rows = [example for example in examples if (example.split == GENERAL) == general]
        count = Counter(m.content for e in rows for m in e.messages if m.role == "system")
        shared |= {text for text, times in count.items() if times >= max(2, _SHARED_SHARE * len(rows))}
    return shared


def _system(example: Example, shared: set[str]) -> list[str]:
    return [m.content for m in example.messages if m.role == "system" and m.content not in shared]


def _turns(example: Example) -> list[Message]:
    turns = [m for m in example.messages if m.role != "system"]
    return [*turns, example.rejected] if example.rejected else turns


def _said(message: Message) -> str:
    calls = " ".join(f"{call.name} {call.arguments}" for call in message.tool_calls)
    return " ".join(part for part in (message.reasoning, message.content, calls) if part)


def _joined(parts: Sequence[str]) -> str:
    return normalised("\n".join(parts))
