"""One turn, as the many formats write it, becomes a `Message`; what cannot be read is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import did_you_mean, shorten
from tunesmith.core.types import Message, Role, ToolCall
from tunesmith.data.read._json import BrokenJson, parse_json
from tunesmith.data.read._think import split_reasoning

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "tool_response", "function", "function_response", "ipython"), "tool"),
}
_CALL_ROLES = {"function_call", "tool_call"}
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_TEXT_PARTS = {"text", "input_text", "output_text"}
_REASONING_PARTS = {"reasoning", "thinking"}
_MEDIA_PARTS = {"image": "image", "image_url": "image", "audio": "audio", "audio_url": "audio"}


class Unusable(ValueError):
    """A row that cannot become an example: `reason` in kebab-case, `detail` for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass
class Media:
    """Paths of images and sounds in the order in which a conversation shows them."""

    image: list[str] = field(default_factory=list)
    audio: list[str] = field(default_factory=list)


def message_of(turn: Any, media: Media) -> Message:
    """One turn with `role` and `content`, or `from` and `value`, as a message.

    Understood are text or typed parts (text, reasoning, tool_call, image, audio), OpenAI's `tool_calls`, calls as a
    role of their own, reasoning in a field of its own or as a leading `<think>`, and the switches `loss_weight`,
    `weight`, `train` that take an assistant turn out of training.

    Args:
        turn: the mapping from the data.
        media: media of typed parts are added here; `<image>` or `<audio>` is left in the text at their place.

    Raises:
        Unusable: what of the turn is not understood.
    """
    if not isinstance(turn, Mapping):
        raise Unusable("broken-turn", f"a turn is an object with role and content, found {shorten(turn, width=60)}")
    said = turn.get("role", turn.get("from"))
    role = _ROLES.get(str(said).lower())
    if role is None:
        raise Unusable("unknown-role", f"'{shorten(said, width=40)}': {did_you_mean(str(said), _ROLES)}")
    content = turn.get("content", turn.get("value"))
    if str(said).lower() in _CALL_ROLES:
        return Message(role="assistant", tool_calls=_calls_of(content), trained=_is_trained(turn))
    reasoning, text, calls = _content_of(content, media)
    calls += [call for item in list_of(turn.get("tool_calls"), "tool_calls") for call in _calls_of(item)]
    if role != "assistant":
        return Message(role=role, content=text, tool_call_id=str(turn.get("tool_call_id") or ""))
    if reasoning is None:
        reasoning = next((str(turn[key]) for key in _REASONING_KEYS if turn.get(key) is not None), None)
    if reasoning is None:
        reasoning, text = split_reasoning(text)
    return Message(role=role, content=text, reasoning=reasoning, tool_calls=tuple(calls), trained=_is_trained(turn))


def tools_of(value: Any) -> tuple[str, ...]:
    """Tool schemas as JSON texts, one each, from a list or the JSON text of a list; keys are neither added nor lost.

    Raises:
        Unusable: not JSON, or not a list of objects.
    """
    if isinstance(value, str):
        try:
            value = parse_json(value) if value.strip() else []
        except BrokenJson as error:
            raise Unusable("broken-tools", f"tools are not JSON: {error}") from None
    tools = [value] if isinstance(value, Mapping) else list_of(value, "tools")
    return tuple(tool if isinstance(tool, str) else json.dumps(tool, ensure_ascii=False) for tool in tools)


def _content_of(content: Any, media: Media) -> tuple[str | None, str, list[ToolCall]]:
    """(reasoning, text, calls) of a text or of a list of typed parts."""
    if content is None or isinstance(content, str):
        return None, content or "", []
    if not isinstance(content, list):
        raise Unusable("broken-turn", f"content is a text or a list of parts, found {shorten(content, width=60)}")
    reasoning: list[str] = []
    text: list[str] = []
    calls: list[ToolCall] = []
    for part in content:
        kind = str(part.get("type")) if isinstance(part, Mapping) else "text" if isinstance(part, str) else "?"
        if kind in _TEXT_PARTS:
            text.append(part if isinstance(part, str) else str(_value_of(part, "text")))
        elif kind in _REASONING_PARTS:
            reasoning.append(str(_value_of(part, kind)))
        elif kind == "tool_call":
            calls += _calls_of(_value_of(part, kind))
        elif kind in _MEDIA_PARTS:
            name = _MEDIA_PARTS[kind]
            getattr(media, name).append(_url_of(_value_of(part, kind)))
            text.append(f"<{name}>")
        else:
            raise Unusable("unknown-part", f"a part of type '{shorten(kind, width=40)}' is not understood")
    return ("\n".join(reasoning) if reasoning else None), "".join(text), calls


def _value_of(part: Mapping[str, Any], kind: str) -> Any:
    value = part.get("value", part.get(kind))
    if value is None:
        raise Unusable("broken-turn", f"a part of type '{kind}' has no value")
    return value


def _url_of(value: Any) -> str:
    return str(value.get("url", "")) if isinstance(value, Mapping) else str(value)


def _calls_of(value: Any) -> tuple[ToolCall, ...]:
    """Calls from an object, a list of objects, or the JSON text of either; arguments stay the text they were."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except BrokenJson as error:
            raise Unusable("broken-tool-call", f"not JSON: {error}: {shorten(value, width=60)}") from None
    if isinstance(value, list):
        return tuple(call for item in value for call in _calls_of(item))
    body = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(body.get("name"), str):
        raise Unusable("broken-tool-call", f"a call has name and arguments, found {shorten(value, width=60)}")
    arguments = body.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return (ToolCall(name=body["name"], arguments=text, id=str(value.get("id") or "")),)


def _is_trained(turn: Mapping[str, Any]) -> bool:
    """Whether the turn carries loss: any weight above zero does (fractions are not kept apart)."""
    for key in ("loss_weight", "weight", "train"):
        weight = turn.get(key)
        if isinstance(weight, int | float):
            return weight > 0
        if weight is not None:
            raise Unusable("broken-turn", f"{key} is a number, found {shorten(weight, width=40)}")
    return True


def list_of(value: Any, what: str) -> list[Any]:
    """`value` as a list: nothing is empty, a single text is one element. Unusable: anything else."""
    if isinstance(value, str):
        return [value] if value else []
    if value is not None and not isinstance(value, list | tuple):
        raise Unusable("broken-turn", f"{what} is a list, found {shorten(value, width=60)}")
    return list(value or ())
