"""English and Chinese: English texts are the keys, the Chinese ones lie in `words.json`."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib import resources


def language() -> str:
    """`zh` or `en`: TUNESMITH_LANG if it is set, else what the locale says."""
    for name in ("TUNESMITH_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name, ""):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def _chinese() -> dict[str, str]:
    text = resources.files("tunesmith.app").joinpath("words.json").read_text(encoding="utf-8")
    words: dict[str, str] = json.loads(text)
    return words


def say(text: str) -> str:
    """`text` in the user's language; English where no translation is written."""
    return _chinese().get(text, text) if language() == "zh" else text
