"""Examples in the model's tokens: rendered by the chat template, cut to the context, everything lost counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Split

if TYPE_CHECKING:
    from tunesmith.models.chat import Chat, Rendered


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row as the model will read it.

    Args:
        id: of the example; two rows share it where the template needs one row for each turn.
        split: of the example.
        place: file and line it came from.
        ids: tokens, cut to the context.
        trained: for each of `ids`, whether it carries loss.
        cut: tokens beyond the context.
        trained_cut: trained tokens among them.
        end_of_turn_ok: every trained turn still ends with its trained end-of-turn token.
        reasoning_lost: turns whose reasoning the template has no place for.
        part: which terms of the objective read it; see `batches.Row`.
        problems: codes of what is wrong with the rendering (`tools-ignored`, `template-refused`, ...).
        why: the first problem in words.
    """

    id: str
    split: Split
    place: str
    ids: tuple[int, ...] = ()
    trained: tuple[bool, ...] = ()
    cut: int = 0
    trained_cut: int = 0
    end_of_turn_ok: bool = True
    reasoning_lost: int = 0
    part: str = "supervised"
    problems: tuple[str, ...] = ()
    why: str = ""

    @property
    def trains(self) -> bool:
        """Whether a token carries loss that another one stands before."""
        return any(self.trained[1:])


def render_rows(chat: Chat, examples: Iterable[Example], context_tokens: int) -> Iterator[TokenRow]:
    """Every supervised example as one row, or one for each trained turn where the template rewrites earlier turns.

    A row that the template refuses, or that has no assistant turn, comes back without tokens and with its problem.
    """
    for example in examples:
        split = example.split or "train"
        if not any(message.role == "assistant" for message in example.messages):
            yield TokenRow(example.id, split, example.place, problems=("no-answer",), why="no assistant turn")
            continue
        try:
            rendered = chat.rows(example.messages, example.tools)
            worse = chat.rows((*example.prompt, example.rejected), example.tools) if example.rejected else []
        except UserError as error:
            codes = tuple(problem.code for problem in error.problems)
            yield TokenRow(example.id, split, example.place, problems=codes, why=error.problems[0].message)
            continue
        part = "general" if split == "general" else "supervised"
        for one in rendered:
            yield _cut(one, example, part, context_tokens)
        for one in worse[-1:]:
            yield _cut(one, example, "rejected", context_tokens)


def _cut(rendered: Rendered, example: Example, part: str, context_tokens: int) -> TokenRow:
    lost = sum(rendered.trained[context_tokens:])
    return TokenRow(
        id=example.id,
        split=example.split or "train",
        part=part,
        place=example.place,
        ids=tuple(rendered.ids[:context_tokens]),
        trained=tuple(rendered.trained[:context_tokens]),
        cut=max(0, len(rendered.ids) - context_tokens),
        trained_cut=lost,
        end_of_turn_ok=rendered.end_of_turn_ok and lost == 0,
        reasoning_lost=rendered.reasoning_lost,
        problems=tuple(problem.code for problem in rendered.problems),
        why=rendered.problems[0].message if rendered.problems else "",
    )


def preview(chat: Chat, row: TokenRow) -> dict[str, Any]:
    """A row for people: `tokens` is a list of [text, trained] pairs, with the row's figures beside it."""
    pieces = [chat.tokenizer.decode([token]) for token in row.ids]
    return {
        "id": row.id,
        "split": row.split,
        "place": row.place,
        "tokens": [[piece, trained] for piece, trained in zip(pieces, row.trained, strict=True)],
        "trained": sum(row.trained),
        "cut": row.cut,
        "trained_cut": row.trained_cut,
        "end_of_turn_ok": row.end_of_turn_ok,
        "reasoning_lost": row.reasoning_lost,
        "problems": list(row.problems),
    }


def write_rows(path: Path, rows: Iterable[TokenRow]) -> None:
    """All rows as Parquet: id, split, part, place, ids, trained, cut, trained_cut, end_of_turn_ok, reasoning_lost."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "id": pa.string(),
            "split": pa.string(),
            "part": pa.string(),
            "place": pa.string(),
            "ids": pa.list_(pa.int32()),
            "trained": pa.list_(pa.bool_()),
            "cut": pa.int32(),
            "trained_cut": pa.int32(),
            "end_of_turn_ok": pa.bool_(),
            "reasoning_lost": pa.int32(),
        }
    )
    lines = [{name: getattr(row, name) for name in schema.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(lines, schema=schema), path)
