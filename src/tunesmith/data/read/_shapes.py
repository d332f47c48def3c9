"""The shapes of conversation rows that users bring, told apart by their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.core.types import Message
from tunesmith.data.read._messages import Media, Unusable, list_of, message_of, tools_of
from tunesmith.data.read._template import as_text
from tunesmith.data.read._think import assistant_turn

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What a row says, whatever its shape: the turns, and for pairs the worse last turn, for KTO the verdict."""

    messages: tuple[Message, ...]
    rejected: Message | None = None
    desirable: bool | None = None
    tools: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()


def shape_of(row: Row) -> str | None:
    """The name of the row's shape; None where no shape has these keys."""
    base = next((name for name, (keys, _) in _SHAPES.items() if keys <= row.keys()), None)
    if base in ("openai messages", "sharegpt", "prompt and completion"):
        if isinstance(row.get("label", row.get("kto_tag")), bool):
            base = f"KTO, {base}"
        if row.get("tools") not in (None, "", "[]", []):
            base += " with tools"
    return base


def found_in(row: Row) -> Found:
    """The row's content.

    Raises:
        Unusable: no known shape, or something in it is not understood.
    """
    reader = next((read for keys, read in _SHAPES.values() if keys <= row.keys()), None)
    if reader is None:
        raise Unusable("unknown-format", unknown_shape(row))
    media = Media()
    messages, rejected = reader(row, media)
    desirable = row.get("label", row.get("kto_tag"))
    media.image += _paths(row.get("images", row.get("image")))
    media.audio += _paths(row.get("audios", row.get("audio")))
    if row.get("videos") or row.get("video"):
        raise Unusable("unknown-part", "video is not understood")
    _refuse_incomplete(messages)
    return Found(
        messages=messages,
        rejected=rejected,
        desirable=desirable if isinstance(desirable, bool) else None,
        tools=tools_of(row.get("tools")),
        images=tuple(media.image),
        audio=tuple(media.audio),
    )


def unknown_shape(row: Row) -> str:
    """What to say of a row that has no known shape: its keys, and the keys of the shapes that are known."""
    known = "; ".join(", ".join(sorted(keys)) for keys, _ in _SHAPES.values())
    return f"no known shape has the keys {shorten(', '.join(row), width=60)}; known are {known}"


def _refuse_incomplete(messages: tuple[Message, ...]) -> None:
    if not messages:
        raise Unusable("empty-conversation", "there are no turns")
    last = messages[-1]
    if last.role != "assistant":
        raise Unusable("no-answer", f"the last turn is the {last.role}'s, an assistant's is expected")
    if not (last.content.strip() or last.tool_calls):
        raise Unusable("empty-answer", "the last turn says nothing")


def _turns(value: Any, media: Media) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise Unusable("broken-turn", f"a list of turns is expected, found {shorten(value, width=60)}")
    return tuple(message_of(turn, media) for turn in value)


def _with_system(row: Row, turns: tuple[Message, ...]) -> tuple[Message, ...]:
    system = as_text(row.get("system"))
    return (Message(role="system", content=system), *turns) if system else turns


def _last_turn(value: Any, media: Media) -> Message:
    """The answer of a pair: a text, a turn, or a list whose last turn it is."""
    if isinstance(value, str):
        return assistant_turn(value)
    turn = _turns(value, media)[-1:] if isinstance(value, list) else (message_of(value, media),)
    if not turn or turn[0].role != "assistant":
        raise Unusable("no-answer", "chosen and rejected must end with the assistant's turn")
    return turn[0]


def _prompt_turns(value: Any, media: Media) -> tuple[Message, ...]:
    return (Message(role="user", content=value),) if isinstance(value, str) else _turns(value, media)


# -- one reader per shape: (row, media) -> (messages, rejected) -----------------------------------------------------


def _two_conversations(chosen: Any, rejected: Any, media: Media) -> tuple[tuple[Message, ...], Message]:
    better, worse = _turns(chosen, media), _turns(rejected, Media())
    if not better or better[:-1] != worse[:-1]:
        raise Unusable("no-common-prompt", "chosen and rejected must differ in their last turn only")
    return better, _last_turn(rejected, Media())


def _v1_pair(row: Row, media: Media) -> tuple[tuple[Message, ...], Message]:
    return _two_conversations(row["chosen_messages"], row["rejected_messages"], media)


def _implicit_pair(row: Row, media: Media) -> tuple[tuple[Message, ...], Message]:
    return _two_conversations(row["chosen"], row["rejected"], media)


def _pair_after(key: str) -> Callable[[Row, Media], tuple[tuple[Message, ...], Message]]:
    """Reader of pairs whose common turns stand under `key`."""

    def read(row: Row, media: Media) -> tuple[tuple[Message, ...], Message]:
        prompt = _with_system(row, _prompt_turns(row[key], media))
        return (*prompt, _last_turn(row["chosen"], media)), _last_turn(row["rejected"], Media())

    return read


def _alpaca_prompt(row: Row) -> tuple[Message, ...]:
    """System, earlier rounds of `history`, then instruction and input in one user turn, divided by a line feed."""
    turns: list[Message] = []
    for round_ in list_of(row.get("history"), "history"):
        if not isinstance(round_, list | tuple) or len(round_) != 2:
            raise Unusable("broken-turn", "history is a list of [question, answer]")
        turns += [Message(role="user", content=as_text(round_[0])), assistant_turn(as_text(round_[1]))]
    asked = [as_text(row["instruction"]), as_text(row.get("input"))]
    return _with_system(row, (*turns, Message(role="user", content="\n".join(part for part in asked if part))))


def _alpaca_pair(row: Row, media: Media) -> tuple[tuple[Message, ...], Message]:
    return (*_alpaca_prompt(row), _last_turn(row["chosen"], media)), _last_turn(row["rejected"], Media())


def _alpaca(row: Row, media: Media) -> tuple[tuple[Message, ...], None]:
    return (*_alpaca_prompt(row), assistant_turn(as_text(row["output"]))), None


def _completion(row: Row, media: Media) -> tuple[tuple[Message, ...], None]:
    return (*_with_system(row, _prompt_turns(row["prompt"], media)), _last_turn(row["completion"], media)), None


def _turns_under(key: str) -> Callable[[Row, Media], tuple[tuple[Message, ...], None]]:
    def read(row: Row, media: Media) -> tuple[tuple[Message, ...], None]:
        return _with_system(row, _turns(row[key], media)), None

    return read


_Reader = Callable[[Row, Media], tuple[tuple[Message, ...], Message | None]]
_SHAPES: dict[str, tuple[set[str], _Reader]] = {
    "preference pairs (two conversations)": ({"chosen_messages", "rejected_messages"}, _v1_pair),
    "preference pairs (sharegpt)": ({"conversations", "chosen", "rejected"}, _pair_after("conversations")),
    "preference pairs (messages)": ({"messages", "chosen", "rejected"}, _pair_after("messages")),
    "preference pairs (prompt)": ({"prompt", "chosen", "rejected"}, _pair_after("prompt")),
    "preference pairs (alpaca)": ({"instruction", "chosen", "rejected"}, _alpaca_pair),
    "preference pairs (chosen and rejected)": ({"chosen", "rejected"}, _implicit_pair),
    "openai messages": ({"messages"}, _turns_under("messages")),
    "sharegpt": ({"conversations"}, _turns_under("conversations")),
    "prompt and completion": ({"prompt", "completion"}, _completion),
    "alpaca": ({"instruction", "output"}, _alpaca),
}
"""Name -> (the keys that a row of this shape has, its reader); the first shape whose keys are all there is taken."""


def _paths(value: Any) -> list[str]:
    return [str(path) for path in list_of(value, "a list of media")]
