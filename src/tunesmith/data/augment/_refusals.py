"""Questions beside a text that does not answer them, and the refusal that says why."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tunesmith.core.types import Example, Message
from tunesmith.data.augment._context import Asked, taken_apart, terms, things
from tunesmith.data.children import child
from tunesmith.data.chinese import HAN

_POOL = 2000
_TRIES = 20
_SAID = (
    "The text does not answer this: it says nothing about {}.",
    "I cannot answer that from the given text. It does not mention {}.",
    "This cannot be answered from the text, which does not speak of {}.",
)
_SAID_CHINESE = (
    "根据所给文本无法回答：文中没有提到{}。",
    "所给的文本没有涉及{}，因此无法据此回答这个问题。",
    "无法回答，因为文中没有关于{}的内容。",
)


@dataclass
class Refusals:
    """Texts that questions can be put beside: the first 2,000 of rows whose question comes with its text.

    Fields:
        texts: (group, text).
    """

    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, row: Example) -> None:
        """The text of one more row, if it has one."""
        if len(self.texts) < _POOL and (found := _last(row)):
            self.texts.append((row.group or row.id, found.context))

    def refused(self, row: Example, dice: random.Random) -> Example | None:
        """A child: the row's question on a text of another group that has at most a third of the words it is about.

        The refusal names two of those that do not stand there. None where the row has no text, or no other one fits.
        """
        found = _last(row)
        if found is None:
            return None
        words, group = terms(found.question), row.group or row.id
        for other_group, text in dice.sample(self.texts, min(_TRIES, len(self.texts))):
            absent = [word for word in words if word not in text.casefold()]
            named = [word for word in things(found.question) if word in absent]
            same = bool(HAN.search(text)) == bool(HAN.search(found.question))
            if other_group != group and same and named and 3 * len(absent) >= 2 * len(words):
                return _child(row, found, text, (named[:2], dice))
        return None


def _last(row: Example) -> Asked | None:
    """The row's question and its text, where it is a single question."""
    users = [turn for turn in row.messages if turn.role == "user"]
    return taken_apart(users[0].content) if len(users) == 1 else None


def _child(row: Example, found: Asked, text: str, said: tuple[list[str], random.Random]) -> Example:
    absent, dice = said
    chinese = bool(HAN.search(found.question))
    named = ("和" if chinese else " or ").join(absent)
    refusal = dice.choice(_SAID_CHINESE if chinese else _SAID).format(named)
    turns = [turn for turn in row.messages if turn.role == "system"]
    turns += [Message(role="user", content=found.about(text)), Message(role="assistant", content=refusal)]
    return child(row, turns, attributes={"negative": "refusals"})
