"""Examples in the model's tokens: rendered by the chat template, cut to the context, everything lost counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Split

if TYPE_CHECKING:
    from tunesmith.models.chat import Chat, Rendered
    from tunesmith.tune.spec import TuneSpec


_ENDS_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "</s>")
"""How base models of the usual families end a text."""


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
        judged: it is an answer of a pair, or has a verdict.
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
    judged: bool = False
    problems: tuple[str, ...] = ()
    why: str = ""

    @property
    def trains(self) -> bool:
        """Whether a token carries loss that another one stands before."""
        return any(self.trained[1:])


@dataclass(frozen=True)
class Reads:
    """What the phases of a training read; see `spec.Phase.rows`.

    Args:
        text: plain text.
        pairs: the worse answers of pairs.
        judged: answers with a verdict, those of pairs among them.
    """

    text: bool = False
    pairs: bool = False
    judged: bool = False

    @classmethod
    def of(cls, spec: TuneSpec) -> Reads:
        """What the phases of `spec` read."""
        rows = {phase.rows for phase in spec.phases}
        return cls(text="text" in rows, pairs="pairs" in rows, judged="judged" in rows)


def render_rows(
    chat: Chat, examples: Iterable[Example], context_tokens: int, reads: Reads | None = None
) -> Iterator[TokenRow]:
    """Every example as one row, or as several.

    Several: for each trained turn where the template rewrites earlier turns, for each `context_tokens` of a text, and
    for the worse answer of a pair. A row that the template refuses, or that no phase can train, comes back without
    tokens and with its problem.
    """
    for example in examples:
        refused = _unread(example, reads or Reads())
        if refused is not None:
            yield refused
        elif example.text is not None:
            yield from text_rows(chat, example, context_tokens)
        else:
            yield from _conversation(chat, example, context_tokens, reads or Reads())


def _unread(example: Example, reads: Reads) -> TokenRow | None:
    """The row of an example that nothing can train on: plain text or a bad answer that no phase reads."""
    split = example.split or "train"
    if example.text is not None:
        why = "it is plain text, and no phase has `rows: text`"
        wanted = reads.text or split == "general"
    else:
        why = "its answer is undesirable, and no phase has `rows: judged`"
        wanted = reads.judged or example.desirable is not False
    if any(message.role == "assistant" for message in example.messages) or example.text is not None:
        code = "no-answer" if example.text is not None else "undesirable"
        return None if wanted else TokenRow(example.id, split, example.place, problems=(code,), why=why)
    return TokenRow(example.id, split, example.place, problems=("no-answer",), why="no assistant turn")


def _conversation(chat: Chat, example: Example, context_tokens: int, reads: Reads) -> Iterator[TokenRow]:
    worse = (*example.prompt, example.rejected) if example.rejected and (reads.pairs or reads.judged) else ()
    try:
        rendered = chat.rows(example.messages, example.tools)
        rejected = chat.rows(worse, example.tools) if worse else []
    except UserError as error:
        codes = tuple(problem.code for problem in error.problems)
        yield TokenRow(
            example.id, example.split or "train", example.place, problems=codes, why=error.problems[0].message
        )
        return
    part = "general" if example.split == "general" else "supervised"
    answers = [(one, part) for one in rendered]
    if example.desirable is False:
        answers = [(rendered[-1], "rejected")]
    answers += [(one, "rejected") for one in rejected[-1:]]
    for one, part in answers:
        row = _cut(one, example, part, context_tokens)
        last = one is rendered[-1] or part == "rejected"
        yield replace(row, judged=last and (example.rejected is not None or example.desirable is not None))


def text_rows(chat: Chat, example: Example, context_tokens: int) -> Iterator[TokenRow]:
    """Plain text as rows of at most `context_tokens` tokens: nothing is cut off, every token carries loss once.

    The text stands between the tokens that the tokeniser puts around a text and the one that ends it. A row that goes
    on with a text begins with the last token of the row before it, which carries no loss there: it is only read.
    """
    split = example.split or "train"
    part = "general" if split == "general" else "text"
    ids = text_ids(chat, example.text or "")
    for start in range(0, max(1, len(ids) - 1), context_tokens - 1):
        piece = tuple(ids[start : start + context_tokens])
        trained = (False, *[True] * (len(piece) - 1))
        yield TokenRow(example.id, split, example.place, ids=piece, trained=trained, part=part)


def text_ids(chat: Chat, text: str) -> list[int]:
    """Tokens of a plain text as the tokeniser wraps one, with the token that ends a text behind it.

    A special token's name in the text stays text: a document cannot end itself or open a turn.
    """
    ids: list[int] = list(chat.tokenizer(text, split_special_tokens=True)["input_ids"])
    end = _end_of_text(chat)
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def _end_of_text(chat: Chat) -> int | None:
    """The end-of-sequence token; where a chat template has taken that for its turns, the one of the base model."""
    eos: int | None = chat.tokenizer.eos_token_id
    if eos not in chat.end_of_turn_ids:
        return eos
    special = chat.tokenizer.added_tokens_encoder
    return next((int(special[name]) for name in _ENDS_OF_TEXT if name in special), eos)


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
        "part": row.part,
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
    """All rows as Parquet: `TokenRow` without its problems."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "id": pa.string(),
            "split": pa.string(),
            "part": pa.string(),
            "judged": pa.bool_(),
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
