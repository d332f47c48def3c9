"""The same question about somebody else: the protected attribute swapped in the text, by tables of words.

Both sides of a pair are swapped at once, so that "he told her" becomes "she told him". What no table knows stays; a
question in which nothing changes is not asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import read_json, resolve_under
from tunesmith.core.types import Message

_HAN = re.compile(r"[\u3400-\u9fff]")
_NEXT_WORD = re.compile(r"\s*([^\W\d_]+)?")


@dataclass(frozen=True)
class Swap:
    """One attribute's table.

    Args:
        names: attributes that it is for.
        pairs: words that change places, lower case; a word may stand in several pairs. A pair of the same two keeps
            its words as they are where a shorter one would change them ("25 years old").
        object_before: words before which, or the end of a clause, an ambiguous word is an object ("her" -> "him"), and
            its first pair counts; elsewhere its second ("her book" -> "his book").
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    object_before: frozenset[str] = frozenset()

    @cached_property
    def _counterparts(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one, two in self.pairs:
            for a, b in ((one, two), (two, one)):
                if b not in found.setdefault(a, []):
                    found[a].append(b)
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = sorted(self._counterparts, key=lambda word: (-len(word), word))
        return re.compile("|".join(_bounded(word) for word in words), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """The text about somebody else; the same text where no word of the table stands in it."""
        return self._pattern.sub(lambda match: self._other(match, text), text)

    def _other(self, match: re.Match[str], text: str) -> str:
        word = match[0]
        choices = self._counterparts[word.lower()]
        chosen = choices[0]
        if len(choices) > 1 and self.object_before:
            after = _NEXT_WORD.match(text, match.end())
            following = (after[1] or "").lower() if after else ""
            chosen = choices[0] if not following or following in self.object_before else choices[1]
        return _cased(chosen, like=word)


def _bounded(word: str) -> str:
    return re.escape(word) if _HAN.search(word) else rf"\b{re.escape(word)}\b"


def _cased(word: str, *, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


def swaps_for(attribute: str, languages: Sequence[str], *, own: Any = None) -> list[Swap]:
    """The tables of an attribute: of the languages of the profile, or of the user's `own` file where it has one."""
    tables = [own] if own is not None else [_table(language) for language in languages]
    return [swap for table in tables if table for swap in _read(table) if attribute.lower() in swap.names]


def swapped(messages: Sequence[Message], swaps: Sequence[Swap]) -> tuple[Message, ...] | None:
    """The conversation with the words of its users swapped; None where nothing changes."""
    changed = []
    for message in messages:
        text = message.content
        if message.role == "user":
            for swap in swaps:
                text = swap(text)
        changed.append(message.model_copy(update={"content": text}))
    return tuple(changed) if any(a.content != b.content for a, b in zip(messages, changed, strict=True)) else None


def _table(language: str) -> Any:
    place = files("tunesmith.evaluate.fairness") / "swaps" / f"{language.lower().partition('-')[0]}.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.is_file() else None


def own_table(path: str | None, root: Path) -> Any:
    """The user's table; None for no path.

    Raises:
        UserError: the file is missing, or does not have the form of the tables that come along.
    """
    if path is None:
        return None
    table = read_json(resolve_under(root, path))
    try:
        if list(_read(table)):
            return table
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    hint = '{"attributes": [{"names": ["sex"], "pairs": [["he", "she"]]}]}'
    raise UserError(Problem("bad-swaps", "a table of swaps is expected", hint, "evaluate.fairness.swaps", value=path))


def _read(table: Any) -> list[Swap]:
    before = frozenset(table.get("object_before", ()))
    return [
        Swap(
            tuple(name.lower() for name in entry["names"]),
            tuple((one.lower(), two.lower()) for one, two in entry["pairs"]),
            before,
        )
        for entry in table["attributes"]
    ]
