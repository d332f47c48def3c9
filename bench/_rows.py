"""Real instruction rows of uneven length that every machine has: functions of the Python standard library.

The question is a function's source, the answer its docstring.
"""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROWS = 400
SEED = 0
SOURCE_CHARACTERS = (80, 700)
ANSWER_CHARACTERS = (20, 420)
MOST_LINES = 50


class Row(NamedTuple):
    """A question and its answer."""

    prompt: str
    answer: str


def rows(count: int = ROWS) -> list[Row]:
    """The first `count` of `ROWS` rows; the same ones on every machine with the same Python.

    Raises:
        SystemExit: this Python has fewer such functions, or comes without its sources.
    """
    found = sorted(set(_functions(Path(sysconfig.get_path("stdlib")))))
    if len(found) < ROWS or count > ROWS:
        raise SystemExit(
            f"this Python's library has {len(found)} documented short functions; {ROWS} are wanted at most"
        )
    return random.Random(SEED).sample(found, ROWS)[:count]


def tokenised(chosen: list[Row], model: Path) -> list[dict[str, Any]]:
    """`chosen` as `drivers._shared.Job` wants them, in the model's tokens and chat template."""
    from tunesmith.core.types import Message
    from tunesmith.models.chat import Chat

    chat, result = Chat.of(model), []
    for row in chosen:
        messages = (Message(role="user", content=row.prompt), Message(role="assistant", content=row.answer))
        rendered = chat.render(messages)
        trained = [place for place, has_loss in enumerate(rendered.trained) if has_loss and place > 0]
        result.append({"ids": list(rendered.ids), "trained": trained, "prompt": row.prompt, "answer": row.answer})
    return result


def _functions(library: Path) -> Iterator[Row]:
    for file in sorted(library.glob("*.py")):
        yield from _rows_of(file.read_text(encoding="utf-8"))


def _rows_of(source: str) -> Iterator[Row]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef) or len(node.body) < 2:
            continue
        answer = ast.get_docstring(node) or ""
        if _between(answer, ANSWER_CHARACTERS) and (node.end_lineno or 0) - node.lineno < MOST_LINES:
            node.body = node.body[1:]
            code = ast.unparse(node)
            if _between(code, SOURCE_CHARACTERS):
                yield Row(f"Explain the function {node.name}.\n\n{code}", answer)


def _between(text: str, limits: tuple[int, int]) -> bool:
    return limits[0] <= len(text) <= limits[1]
