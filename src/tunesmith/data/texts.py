"""What of a row is compared with other rows: its own words, not the system prompt that all of them share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tunesmith.core.types import Example, Message, Split
from tunesmith.data.similarity import normalised

_SHARED_SHARE = 0.05
GENERAL: Split = "general"
"""The split of rows that are not of the domain: trained on against forgetting, and never split or judged by."""


class SystemCount(Counter[tuple[bool, int]]):
    """(whether the row is general, hash of a system text) -> rows; of hash 0: all rows."""


"""(whether the row is general, hash of a system text) -> rows; of hash 0: all rows."""


def hash_of(text: str) -> int:
    """63 bits that stand for a text: 0 for an empty one, another number for any other."""
    found = int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big") >> 1
    return (found or 1) if text else 0


def system_count(examples: Iterable[Example]) -> SystemCount:
    """How many rows have which system text."""
    count = SystemCount()
    for example in examples:
        general = example.split == GENERAL
        count[general, 0] += 1
        count.update({(general, hash_of(m.content)) for m in example.messages if m.role == "system" and m.content})
    return count


def shared_systems(count: SystemCount, *, at_least: int = 2) -> frozenset[int]:
    """System texts that stand in at least two rows and 5 % of the domain's or the general rows: a prompt."""
    return frozenset(
        text
        for (general, text), rows in count.items()
        if text and rows >= max(at_least, _SHARED_SHARE * count[general, 0])
    )


class Said(NamedTuple):
    """What of a row is compared.

    Fields:
        own: everything said: questions, answers, reasoning, calls, the rejected turn, media; normalised.
        asked: what an answerer is asked, the user's turns and media, normalised; answers are left out.
        verbatim: the same letter by letter.
    """

    own: str
    asked: str
    verbatim: str


def said(example: Example, shared: Collection[int]) -> Said:
    """What is compared of a row; each of its texts is normalised once, for a line end never joins what is beside it.

    Args:
        example: the row.
        shared: system texts that are no row's own, see `shared_systems`.
    """
    own = [*_system(example, shared), *(_said(m) for m in _turns(example)), *example.images, *example.audio]
    asked = _asked(example, shared)
    plain = {text: normalised(text) for text in {*own, *asked}}
    return Said(_joined(own, plain), _joined(asked, plain), "\n".join(asked))


def verbatim(example: Example, shared: Collection[int]) -> str:
    """What an answerer is asked, letter by letter; see `Said`."""
    return "\n".join(_asked(example, shared))


def _asked(example: Example, shared: Collection[int]) -> list[str]:
    asked = [m.content for m in example.messages if m.role == "user"]
    return [*_system(example, shared), *asked, *example.images, *example.audio]


def target_of(example: Example, labels: Collection[str]) -> str | None:
    """What answers are compared with, where that is short: the target, or an answer that is one of a closed set."""
    if example.target is None and example.reference in labels:
        return example.reference
    return example.target


def answer(example: Example, labels: Collection[str] = ()) -> str:
    """What decides whether equal questions are copies or contradict each other: the target and the verdict."""
    verdict = "" if example.desirable is None else f" desirable={example.desirable}"
    return normalised(target_of(example, labels) or "") + verdict


def _system(example: Example, shared: Collection[int]) -> list[str]:
    return [m.content for m in example.messages if m.role == "system" and hash_of(m.content) not in shared]


def _turns(example: Example) -> list[Message]:
    turns = [m for m in example.messages if m.role != "system"]
    return [*turns, example.rejected] if example.rejected else turns


def _said(message: Message) -> str:
    calls = " ".join(f"{call.name} {call.arguments}" for call in message.tool_calls)
    return " ".join(part for part in (message.reasoning, message.content, calls) if part)


def _joined(parts: Sequence[str], plain: Mapping[str, str]) -> str:
    return " ".join(filter(None, map(plain.__getitem__, parts)))
