"""Cleaners applied to rows: every text that people wrote, never the JSON of tools."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tunesmith.core.errors import shorten
from tunesmith.core.protocols import Cleaner
from tunesmith.core.types import Drop, Example, Message, example_id

_MEDIA = re.compile(r"(<(?:image|audio)>)")


def cleaned(
    items: Iterable[Example | Drop],
    cleaners: Mapping[str, Cleaner],
    *,
    labels: Sequence[str],
    changed: Counter[str],
) -> Iterator[Example | Drop]:
    """Every item exactly once: cleaned, or dropped (`empty-after-cleaning`) where a cleaner left nothing.

    Args:
        items: what sources yield; drops pass through.
        cleaners: name -> cleaner, applied in order.
        labels: closed set of answers, empty if open.
        changed: `clean.<name>` -> rows that were altered and kept, counted here.
    """
    steps = [Cleaning(f"clean.{name}", cleaner, frozenset(labels)) for name, cleaner in cleaners.items()]
    for item in items:
        altered: list[str] = []
        for step in steps:
            before = item
            item = item if isinstance(item, Drop) else step.apply(item)
            altered += [step.step] if item is not before else []
        if isinstance(item, Example):
            changed.update(altered)
        yield item


@dataclass(frozen=True)
class Cleaning:
    """One cleaner at work on rows.

    Cleaned are contents and reasoning of all turns but tool results, the rejected turn and the target. Tool schemas,
    calls and results are data of programs and stay; so do answers from the closed set of labels.

    Args:
        step: name of the operation.
        cleaner: the component.
        fixed: texts that stay as they are.
        found: class -> pieces that the cleaner found, where it counts them (`clean_noting`); filled by `apply`.
    """

    step: str
    cleaner: Cleaner
    fixed: frozenset[str]
    found: Counter[str] = field(default_factory=Counter, compare=False)

    def apply(self, example: Example) -> Example | Drop:
        """The row itself where nothing changed, else the cleaned one with its new id, or the drop."""
        after = _once(example, partial(_text_cleaned, self._clean, self.fixed))
        if after is example:
            return example
        emptied = [b for b, a in zip(_texts(example), _texts(after), strict=True) if b.strip() and not a.strip()]
        if emptied:
            detail = shorten(emptied[0])
            reason = "empty-after-cleaning"
            return Drop(place=example.place, step=self.step, reason=reason, detail=detail, byte=example.byte)
        return after.model_copy(update={"id": example_id(after.messages, after.target, after.rejected)})

    def _clean(self, text: str) -> str:
        noting = getattr(self.cleaner, "clean_noting", None)
        cleaned: str = self.cleaner.clean(text) if noting is None else noting(text, self.found)
        return cleaned


def _text_cleaned(clean: Callable[[str], str], fixed: frozenset[str], text: str) -> str:
    """`text` after one cleaner; places of images and sounds look like markup but are not, and stay."""
    if text in fixed:
        return text
    if "<" not in text:
        return clean(text)
    return "".join(part if _MEDIA.fullmatch(part) else clean(part) for part in _MEDIA.split(text))


def _once(example: Example, clean: Callable[[str], str]) -> Example:
    """The row with every text cleaned; the very same one where none was changed."""
    messages = tuple(_message(m, clean) for m in example.messages)
    target = None if example.target is None else clean(example.target)
    rejected = None if example.rejected is None else _message(example.rejected, clean)
    same = all(after is before for after, before in zip(messages, example.messages, strict=True))
    if same and target == example.target and rejected is example.rejected:
        return example
    return example.model_copy(update={"messages": messages, "target": target, "rejected": rejected})


def _message(message: Message, clean: Callable[[str], str]) -> Message:
    if message.role == "tool":
        return message
    content = clean(message.content)
    reasoning = None if message.reasoning is None else clean(message.reasoning)
    if content == message.content and reasoning == message.reasoning:
        return message
    return message.model_copy(update={"content": content, "reasoning": reasoning})


def _texts(example: Example) -> list[str]:
    turns = [*example.messages, example.rejected] if example.rejected else list(example.messages)
    return [*(m.content for m in turns), example.target or ""]
