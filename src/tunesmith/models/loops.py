"""When a text only repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_LEAST, _TIMES, _LONGEST_PERIOD = 64, 4, 64


def loops(said: Sequence[Any]) -> bool:
    """Whether the last tokens (or words) say one thing over and over: at least four times, and 64 tokens of it.

    Repetitions of up to 64 tokens are found.
    """
    for period in range(1, _LONGEST_PERIOD + 1):
        size = max(_LEAST, _TIMES * period)
        if len(said) < size:
            return False
        if said[-1] == said[-1 - period] and said[-size:-period] == said[period - size :]:
            return True
    return False
