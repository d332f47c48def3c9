"""The prompts, from a data file, in the language of what they are about."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.types import Message
from tunesmith.data.chinese import han_share

_CHINESE_SHARE = 0.3


def prompt(name: str, about: str, **fields: object) -> tuple[Message, ...]:
    """The conversation to ask; in Chinese where `about` is at least 30 % Chinese, else in English."""
    text = _table()[name]["zh" if han_share(about) >= _CHINESE_SHARE else "en"]
    return (Message(role="user", content=text.format_map(fields)),)


@cache
def _table() -> Any:
    from ruamel.yaml import YAML

    text = (Path(__file__).parent / "prompts.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe", pure=True).load(text)
