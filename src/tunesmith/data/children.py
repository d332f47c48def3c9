"""Rows that are made from rows: what a child takes from its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tunesmith.core.types import Example, Message, example_id

_NONE: Mapping[str, str] = MappingProxyType({})


def child(
    parent: Example,
    messages: Sequence[Message],
    *,
    target: str | None = None,
    rejected: Message | None = None,
    attributes: Mapping[str, str] = _NONE,
) -> Example:
    """A row made from `parent`: it says something else, and stands where its parent stands.

    Group, source, licence, place, kind, tools, media and split are the parent's; `group` is the parent's id where that
    had none, so that a child never leaves its parent's split.

    Args:
        parent: the row it was made from.
        messages: what the new row says.
        target: its short reference answer, see `Example`.
        rejected: the worse last turn, where the new row is a preference pair.
        attributes: what is added to the parent's.
    """
    turns = tuple(messages)
    changes = {
        "id": example_id(turns, target, rejected),
        "messages": turns,
        "target": target,
        "rejected": rejected,
        "desirable": None,
        "attributes": {**parent.attributes, **attributes},
        "group": parent.group or parent.id,
        "byte": None,
        "parent": parent.id,
    }
    return parent.model_copy(update=changes)
