"""Conversations of several turns, made of single questions."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example, Message
from tunesmith.data.augment._context import taken_apart, terms
from tunesmith.data.augment._making import Share, chosen, dice_of, tell, unfit
from tunesmith.data.children import child
from tunesmith.data.chinese import HAN
from tunesmith.data.similarity import normalised

Kind = Literal["follow_up", "clarification"]

_NAME = "multi_turn"
_TOPICS = 10_000
_COMMON = 0.05
_SHORTEST = 3
_NAMES = 3
_OPENERS = {
    "en": ("", "", "Thank you. ", "One more question: ", "Thanks, that helps. "),
    "zh": ("", "", "谢谢。", "还有一个问题：", "再请教一下："),
}
_WHICH = {
    "en": ("Which text is this about? Please send it to me.", "I can answer that from the text. Could you share it?"),
    "zh": ("请把相关的内容发给我，我再回答。", "请问具体情况是怎样的？"),
}
_HERE = {"en": ("Here it is:\n", "This is the text:\n", ""), "zh": ("内容如下：\n", "情况是这样的：", "")}


@dataclass(frozen=True)
class MultiTurn:
    """Joins single questions of one group or topic to a conversation, or lets the answerer ask for the text first.

    `follow_up`: up to `turns` rows of one group, or of one topic where rows have no group, one after the other; the
    last one is the parent, whose answer is the target. The topic of a row are the longest words of its question that
    a few other rows have too. `clarification`: the question comes without its text, the answerer asks for it, the text
    comes, the parent's answer follows. The attribute `conversation` names the kind.

    Args:
        share: share of the rows that get a conversation.
        kinds: what is made; of those that a row allows one is drawn.
        turns: rows that are joined, at most.
        characters: longest conversation.
    """

    share: Share = 1.0
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("follow_up", "clarification")
    turns: Annotated[int, Field(ge=2, le=10)] = 3
    characters: Annotated[int, Field(ge=1)] = 8000

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `core.protocols.Maker`."""
        topics = _Topics(rows)
        before: OrderedDict[str, list[Example]] = OrderedDict()
        taken = {row.id for row in chosen(rows, context, _NAME, self.share)} if self.share < 1 else None
        left: Counter[str] = Counter()
        for row in rows:
            why = unfit(row) or _not_single(row)
            own = [] if why else topics.of(row)
            if not why and (taken is None or row.id in taken):
                earlier = next((before[topic] for topic in own if topic in before), [])
                made = self._child(row, earlier, dice_of(context, _NAME, row))
                if made is not None:
                    yield made
                else:
                    why = "without text and alone in their topic"
            left.update([why] if why else [])
            for topic in own:
                before[topic] = [*before.get(topic, []), row][-self.turns :]
                before.move_to_end(topic)
            while len(before) > _TOPICS:
                before.popitem(last=False)
        tell(context, _NAME, left)

    def _child(self, row: Example, before: list[Example], dice: random.Random) -> Example | None:
        for kind in dice.sample(self.kinds, len(self.kinds)):
            turns = self._followed(row, before, dice) if kind == "follow_up" else _clarified(row, dice)
            if turns and sum(len(turn.content) for turn in turns) <= self.characters:
                return child(row, turns, target=row.target, rejected=row.rejected, attributes={"conversation": kind})
        return None

    def _followed(self, row: Example, before: list[Example], dice: random.Random) -> list[Message]:
        """The rows before, as many as fit, then this one; empty where there is none."""
        rules, own = _parts(row)
        size = sum(len(turn.content) for turn in row.messages)
        turns: list[Message] = []
        for other in reversed(before):
            other_rules, said = _parts(other)
            length = sum(len(turn.content) for turn in said)
            asked = {normalised(t.content) for t in (*turns, *own) if t.role == "user"}
            fits = other_rules in (rules, []) and normalised(said[0].content) not in asked
            if fits and len(turns) < 2 * (self.turns - 1) and size + length <= self.characters - 100:
                turns, size = [*said, *turns], size + length
        opener = dice.choice(_OPENERS[_language(own[0].content)])
        first = own[0].model_copy(update={"content": opener + own[0].content})
        return [*rules, *turns, first, *own[1:]] if turns else []


class _Topics:
    """What rows are about: their group, or the longest words of the question that a few rows have."""

    def __init__(self, rows: Iterable[Example]) -> None:
        self._words: Counter[str] = Counter()
        self._rows = 0
        for row in rows:
            if not unfit(row) and not _not_single(row):
                self._rows += 1
                self._words.update(set(_terms(row)))

    def of(self, row: Example) -> list[str]:
        """At most three names for it, the closest first; none where the row has neither group nor shared word."""
        if row.group:
            return [f"group {row.group}"]
        most = max(2, _COMMON * self._rows)
        return [w for w in _terms(row) if len(w) >= _SHORTEST and 2 <= self._words[w] <= most][:_NAMES]


def _terms(row: Example) -> list[str]:
    asked = next(turn.content for turn in row.messages if turn.role == "user")
    found = taken_apart(asked)
    return terms(found.question if found else asked[-400:])


def _parts(row: Example) -> tuple[list[Message], list[Message]]:
    """(system turns, the other ones)."""
    rules = [turn for turn in row.messages if turn.role == "system"]
    return rules, [turn for turn in row.messages if turn.role != "system"]


def _clarified(row: Example, dice: random.Random) -> list[Message]:
    """Question, request for the text, text, answer; empty where the question comes without a text."""
    rules, (asked, *answer) = _parts(row)
    found = taken_apart(asked.content)
    if found is None:
        return []
    language = _language(found.question)
    return [
        *rules,
        Message(role="user", content=found.question),
        Message(role="assistant", content=dice.choice(_WHICH[language])),
        Message(role="user", content=dice.choice(_HERE[language]) + found.context),
        *answer,
    ]


def _not_single(row: Example) -> str:
    """Why a row is not one plain question with its answer; empty where it is."""
    roles = [turn.role for turn in row.messages if turn.role != "system"]
    if roles != ["user", "assistant"]:
        return "of several turns"
    plain = not (row.tools or row.images or row.audio or row.messages[-1].tool_calls)
    return "" if plain else "with tools or media"


def _language(text: str) -> str:
    return "zh" if HAN.search(text) else "en"
