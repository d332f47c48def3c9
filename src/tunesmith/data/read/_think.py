"""Reasoning that leads an assistant's text as `<think>...</think>` becomes `Message.reasoning`."""

from __future__ import annotations

import re

from tunesmith.core.types import Message

_THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)


def split_reasoning(content: str) -> tuple[str | None, str]:
    """(reasoning, content): None where no `<think>` begins the text, "" where it was left empty on purpose."""
    match = _THINK.match(content)
    return (match.group(1).strip(), content[match.end() :]) if match else (None, content)


def assistant_turn(content: str, *, trained: bool = True) -> Message:
    """An assistant's message with its leading reasoning taken apart."""
    reasoning, text = split_reasoning(content)
    return Message(role="assistant", content=text, reasoning=reasoning, trained=trained)
