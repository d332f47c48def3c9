"""Texts with `{column}` in them: the name of a column and nothing else can stand between the braces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import Problem, UserError, did_you_mean

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True)
class Template:
    """A parsed text; `pieces` are literal strings and column names in turn: (text, column or None)."""

    pieces: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs, in order of use."""
        return tuple(column for _, column in self.pieces if column is not None)

    def render(self, row: Mapping[str, Any]) -> str:
        """The text for one row; values are inserted as they are, never parsed again. KeyError: a column is absent."""
        return "".join(text + (as_text(row[column]) if column is not None else "") for text, column in self.pieces)


def parse_template(text: str, where: str) -> Template:
    """`text` with `{column}` places; `{{` and `}}` stand for single braces. No formats, attributes or calls.

    Raises:
        UserError: a brace stands alone, or a pair of braces is empty.
    """
    pieces: list[tuple[str, str | None]] = []
    literal, start = "", 0
    for match in _PIECE.finditer(text):
        literal += text[start : match.start()]
        start = match.end()
        name = match.group(1)
        if match.group() in ("{{", "}}"):
            literal += match.group()[0]
        elif name is None or not name.strip():
            message = f"'{match.group()}' at character {match.start() + 1} names no column"
            hint = "write {column}, or {{ and }} for braces that stay"
            raise UserError(Problem("broken-template", message, hint, where, value=text))
        else:
            pieces.append((literal, name.strip()))
            literal = ""
    pieces.append((literal + text[start:], None))
    return Template(tuple(pieces))


def column_or_template(text: str, where: str) -> Template:
    """A template where `text` has braces, else the column that `text` names."""
    return parse_template(text, where) if "{" in text or "}" in text else Template((("", text),))


def missing_columns(needed: Iterable[str], known: Iterable[str], shown: str) -> list[Problem]:
    """One problem for each needed column that the file does not have, with the nearest names."""
    have = list(known)
    return [
        Problem("missing-column", f"there is no column '{name}'", did_you_mean(name, have), shown, value=name)
        for name in dict.fromkeys(needed)
        if name not in have
    ]


def as_text(value: Any) -> str:
    """A cell as text: nothing for null and NaN, `true` and `false`, JSON for nested values."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
