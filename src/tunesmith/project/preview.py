"""Rows as the model will see them: which tokens carry loss, which are cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.types import Drop, Example
from tunesmith.project.file import FILE_NAME, load

if TYPE_CHECKING:
    from tunesmith.models.chat import Chat, Rendered

DEFAULT_MODEL = "smollm2-135m-instruct"


def preview(paths: Sequence[Path], *, model: str | None, rows: int, events: Events) -> list[dict[str, Any]]:
    """For each project or data file its first `rows` rows, in pieces of equally treated tokens.

    Args:
        paths: project folders, project files, or data files in any conversation format.
        model: catalog name, folder or hub id whose tokeniser and template are used; None: the project's, or SmolLM2.
        rows: rows of each file to show; `total` counts all of them.
        events: where to tell what happens.

    Raises:
        UserError: a file cannot be used; what is wrong with all files is told at once.
    """
    shown: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            shown.append(_one(path, model, rows, events))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return shown


def _one(path: Path, model: str | None, rows: int, events: Events) -> dict[str, Any]:
    from tunesmith.models.chat import Chat
    from tunesmith.models.load import resolve
    from tunesmith.models.spec import ModelSpec

    context: int | None = None
    if path.is_dir() or path.name == FILE_NAME:
        project = load(path)
        spec, root = ModelSpec(use=model) if model else project.spec.model, project.root
        limit = project.spec.tune.context_tokens
        context = limit if isinstance(limit, int) else None
        read = _of_project(path)
    else:
        spec, root = ModelSpec(use=model or DEFAULT_MODEL), Path.cwd()
        read = _of_file(path)
    items = list(read)  # before the model: what is wrong with a file needs no model to be told
    chat = Chat.of(resolve(spec, root, events).path)
    examples = [item for item in items if isinstance(item, Example)]
    unreadable = [item for item in items if isinstance(item, Drop)]
    about = f"{len(examples)} rows" + (f", {len(unreadable)} cannot be used" if unreadable else "")
    return {
        "file": str(path),
        "about": about,
        "total": len(examples),
        "drops": [drop.model_dump(mode="json") for drop in unreadable],
        "rows": [row for example in islice(examples, rows) for row in _rows(chat, example, context)],
    }


def _of_project(path: Path) -> Iterator[Example | Drop]:
    """What the project's sources give, before cleaning and splitting."""
    from tunesmith.data.intake import SOURCES

    project = load(path)
    for index, use in enumerate(project.spec.data.sources):
        source = SOURCES.build(use, where=f"data.sources[{index}]")
        yield from source.read(project.root, project.spec.profile.labels)


def _of_file(path: Path) -> Iterator[Example | Drop]:
    from tunesmith.data.intake import SOURCES

    source = SOURCES.build({"use": "conversations", "path": str(path.resolve())}, where=str(path))
    yield from source.read(path.resolve().parent, ())


def _rows(chat: Chat, example: Example, context: int | None) -> list[dict[str, Any]]:
    """One row, or one for each trained turn where the template rewrites earlier turns; plain text is never cut."""
    if example.text is not None:
        return [_row(chat, example, _of_text(chat, example.text), None)]
    try:
        rendered = chat.rows(example.messages, example.tools)
    except UserError as error:
        raise UserError([replace(p, path=example.place or p.path) for p in error.problems]) from None
    return [_row(chat, example, row, context) for row in rendered]


def _of_text(chat: Chat, text: str) -> Rendered:
    from tunesmith.models.chat import Rendered
    from tunesmith.tune.render import text_ids

    ids = text_ids(chat, text)
    return Rendered(ids, [False, *[True] * (len(ids) - 1)], text, [(0, len(text))], end_of_turn_ok=True)


def _row(chat: Chat, example: Example, rendered: Rendered, context: int | None) -> dict[str, Any]:
    kept = len(rendered.ids) if context is None else min(context, len(rendered.ids))
    return {
        "id": example.id,
        "place": example.place,
        "tokens": len(rendered.ids),
        "trained": sum(rendered.trained[:kept]),
        "cut": len(rendered.ids) - kept,
        "assistant_turns": sum(m.role == "assistant" and m.trained for m in example.messages),
        "trained_turns": len(rendered.spans),
        "end_of_turn_trained": rendered.end_of_turn_ok and kept == len(rendered.ids),
        "reasoning_lost": rendered.reasoning_lost,
        "problems": [problem.message for problem in rendered.problems],
        "pieces": list(_pieces(chat, rendered, kept)),
    }


def _pieces(chat: Chat, rendered: Rendered, kept: int) -> Iterator[dict[str, Any]]:
    marked = [
        (i, trained, place >= kept)
        for place, (i, trained) in enumerate(zip(rendered.ids, rendered.trained, strict=True))
    ]
    for (trained, cut), group in groupby(marked, key=lambda token: token[1:]):
        ids = [token[0] for token in group]
        yield {"text": chat.tokenizer.decode(ids), "tokens": len(ids), "trained": trained, "cut": cut}
