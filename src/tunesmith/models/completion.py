"""A chat completion as an answer, in all the ways in which servers write one; what is none is a failed try."""

from __future__ import annotations

import json
import math
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.core.types import Answer, Usage
from tunesmith.models.turns import CLOSE, OPEN

_REASONING = ("reasoning_content", "reasoning")
"""Where reasoning stands: DeepSeek, SGLang, llama.cpp and older vLLM; newer vLLM and OpenRouter."""


class Failed(Exception):
    """One try that gave no answer.

    Args:
        reason: stable kebab-case name.
        detail: what was seen.
        again: whether it may be tried again.
        wait: seconds that the server asked to be left alone.
    """

    def __init__(self, reason: str, detail: str, *, again: bool = True, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.again, self.wait = reason, detail, again, wait


def answer_of(body: bytes, *, seconds: float, route: str) -> Answer:
    """The answer in a body.

    Reasoning is taken from a field of its own or from a leading `<think>` in the text. A server that tells no usage
    leaves `usage: unknown` in the evidence.

    Raises:
        Failed: `endpoint-garbage`: this is no chat completion.
    """
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        reasoning = next((_text(message[key]) for key in _REASONING if message.get(key)), None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        shown = shorten(body[:200].decode("utf-8", "replace"), width=120)
        raise Failed("endpoint-garbage", f"not a chat completion ({type(error).__name__}): {shown}") from None
    if reasoning is None and CLOSE in text:
        before, _, text = text.partition(CLOSE)
        reasoning, text = before.strip().removeprefix(OPEN).strip(), text.strip()
    usage, known = _usage(found.get("usage"), seconds)
    return Answer(
        text=text,
        reasoning=reasoning,
        usage=usage,
        evidence={} if known else {"usage": "unknown"},
        stop="length" if choice.get("finish_reason") == "length" else "end",
        route=route,
        log_probability=_log_probability(choice.get("logprobs")),
    )


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError("content is no text")
    return (value or "").encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be written down


def _usage(told: Any, seconds: float) -> tuple[Usage, bool]:
    """What was counted, and whether both counts were told."""
    prompt, answer = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    details = told.get("completion_tokens_details") if isinstance(told, dict) else None
    reasoning = min(_count(details, "reasoning_tokens") or 0, answer or 0)
    usage = Usage(
        prompt_tokens=prompt or 0,
        answer_tokens=(answer or 0) - reasoning,
        reasoning_tokens=reasoning,
        seconds=round(seconds, 3),
    )
    return usage, prompt is not None and answer is not None


def _count(usage: Any, name: str) -> int | None:
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _log_probability(told: Any) -> float | None:
    """The sum over all tokens; None where a server tells none, or something else."""
    try:
        found = [token["logprob"] for token in told["content"]]
        total = math.fsum(found)
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    return total if found and math.isfinite(total) else None
