"""Rows to label: out of a project's snapshot, or out of a file that has nothing but texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Drop, Example, Message, example_id
from tunesmith.data.read._files import detect_format, locate
from tunesmith.data.read._rows import rows
from tunesmith.data.read._shapes import shape_of
from tunesmith.data.read._template import missing_columns, parse_template
from tunesmith.data.read.conversations import Conversations

_MAX_BYTES = 10_000_000


def rows_of_file(root: Path, path: str, *, template: str | None) -> tuple[list[Example], Counter[str]]:
    """The rows of a file of conversations, or of any table through a template, and reason -> rows that were no rows.

    Args:
        root: project folder; a relative path is resolved under it.
        path: CSV, TSV, JSONL, a JSON list, Parquet or a workbook.
        template: the text to label, with `{column}` places; None: the file holds conversations.

    Raises:
        UserError: the file cannot be used, or lacks a column of the template.
    """
    found = _conversations(root, path) if template is None else _texts(root, path, template)
    kept, dropped = list[Example](), Counter[str]()
    for item in found:
        if isinstance(item, Drop):
            dropped[item.reason] += 1
        else:
            kept.append(item)
    return kept, dropped


def unique(examples: Iterable[Example]) -> dict[str, Example]:
    """Id -> row; of rows that say the same the first."""
    found: dict[str, Example] = {}
    for example in examples:
        found.setdefault(example.id, example)
    return found


def shown(example: Example) -> str:
    """What an annotator sees of a row: what was asked, and never the answer that it came with."""
    turns = [m for m in example.prompt if m.role != "system" and m.content.strip()]
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def _conversations(root: Path, path: str) -> Iterator[Example | Drop]:
    file = locate(root, path)
    first = next((r for r in rows(file, path, max_bytes=_MAX_BYTES) if not isinstance(r, Drop)), None)
    if first is not None and shape_of(first.row) is None:
        columns = ", ".join(first.row)
        hint = "say what is to be labelled: --template '{COLUMN}'"
        raise UserError(Problem("no-template", f"these are no conversations; the columns are {columns}", hint, path))
    yield from Conversations(path=path).read(root, ())


def _texts(root: Path, path: str, text: str) -> Iterator[Example | Drop]:
    template = parse_template(text, "--template")
    file = locate(root, path)
    form = detect_format(file, path)
    for record in rows(file, path, form=form, max_bytes=_MAX_BYTES):
        if isinstance(record, Drop):
            yield record
            continue
        if missing := missing_columns(template.columns, record.row, record.place):
            raise UserError(missing)
        said = template.render(record.row)
        if not said.strip():
            yield Drop(place=record.place, step="read", reason="empty-document", byte=record.byte)
            continue
        turns = (Message(role="user", content=said),)
        yield Example(id=example_id(turns, None), messages=turns, source=path, place=record.place, byte=record.byte)
