"""Cleaners applied to rows: every text that people wrote, never the JSON of tools."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    Cleaned are contents and reasoning of all turns but tool results, the rejected turn and the target. Tool schemas,
    calls and results are data of programs and stay; so do answers from the closed set of labels.

    Args:
        items: what sources yield; drops pass through.
        cleaners: name -> cleaner, applied in order.
        labels: closed set of answers, empty if open.
        changed: `clean.<name>` -> rows that were altered and kept, counted here.
    """
    fixed = frozenset(labels)
    for item in items:
        yield item if isinstance(item, Drop) else _row_cleaned(item, cleaners, fixed, changed)


def _row_cleaned(
    example: Example, cleaners: Mapping[str, Cleaner], fixed: frozenset[str], changed: Counter[str]
) -> Example | Drop:
    altered = []
    for name, cleaner in cleaners.items():
        after = _once(example, partial(_text_cleaned, cleaner, fixed))
        emptied = [b for b, a in zip(_texts(example), _texts(after), strict=True) if b.strip() and not a.strip()]
        if emptied:
            step, detail = f"clean.{name}", shorten(emptied[0])
            return Drop(place=example.place, step=step, reason="empty-after-cleaning", detail=detail)
        if after != example:
            altered.append(f"clean.{name}")
        example = after
    if not altered:
        return example
    changed.update(altered)
    return example.model_copy(update={"id": example_id(example.messages, example.target, example.rejected)})


def _text_cleaned(cleaner: Cleaner, fixed: frozenset[str], text: str) -> str:
    """`text` after one cleaner; places of images and sounds look like markup but are not, and stay."""
    if text in fixed:
        return text
    return "".join(part if _MEDIA.fullmatch(part) else cleaner.clean(part) for part in _MEDIA.split(text))


def _once(example: Example, clean: Callable[[str], str]) -> Example:
    changes = {
        "messages": tuple(_message(m, clean) for m in example.messages),
        "target": None if example.target is None else clean(example.target),
        "rejected": None if example.rejected is None else _message(example.rejected, clean),
    }
    return example.model_copy(update=changes)


def _message(message: Message, clean: Callable[[str], str]) -> Message:
    if message.role == "tool":
        return message
    reasoning = None if message.reasoning is None else clean(message.reasoning)
    return message.model_copy(update={"content": clean(message.content), "reasoning": reasoning})


def _texts(example: Example) -> list[str]:
    turns = [*example.messages, example.rejected] if example.rejected else list(example.messages)
    return [*(m.content for m in turns), example.target or ""]
