"""Snapshot -> Tokens: every row in the model's tokens with its label mask, judged before anything is trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Profile, Snapshot, Tokens
from tunesmith.tune import rules
from tunesmith.tune.spec import TuneSpec

if TYPE_CHECKING:
    from tunesmith.models.chat import Chat
    from tunesmith.tune.render import TokenRow

NAME = "tokens"
VERSION = "3"

PREVIEWED = 20


def run(spec: TuneSpec, *, base: Base, profile: Profile, snapshot: Snapshot, context: Context) -> Tokens:
    """Render all rows with the base model's chat template, cut them to the context, and judge G0 and G2.

    Worse answers of pairs, undesirable answers and plain text become rows where a phase reads them; G2 judges them too.
    Files: `rows.parquet` (all splits) and `preview.jsonl` (the first 20 training rows, and up to 20 with losses).
    Rows that have nothing to train stay in the file, are counted, and are left out of training.

    Raises:
        UserError: the chat template cannot be used; the strategy is wrong.
    """
    from tunesmith.core.examples import read_examples
    from tunesmith.models.chat import Chat
    from tunesmith.tune.feasible import choose_checkpointing, judge_feasible
    from tunesmith.tune.method import this_machine
    from tunesmith.tune.predict import predict
    from tunesmith.tune.render import Reads, render_rows, write_rows
    from tunesmith.tune.token_gate import judge_tokens

    chat = Chat.of(base.path)
    examples = read_examples(snapshot.file("examples.parquet"))
    limit = int(rules.resolve(spec, base, len(examples))[0].context_tokens)  # does not depend on the rows
    reads = Reads.of(spec)
    unread = sum(example.rejected is not None for example in examples) * (not (reads.pairs or reads.judged))
    if unread:
        message = f"{unread:,} rejected answers are not read: no phase has `rows: pairs` or `rows: judged`"
        context.events.tell("note", NAME, message, rows=unread)
    told = context.events.track(examples, NAME, "tokens and label mask", total=len(examples))
    rows = list(render_rows(chat, told, limit, reads))
    train = [row for row in rows if row.split == "train"]
    good = [row for row in train if row.trains]
    prefix = _shared_prefix(good)
    path, machine = context.out / "rows.parquet", this_machine(context.scratch, workers=context.workers)
    write_rows(path, rows)

    def made(checkpointing: bool) -> dict[str, Any]:
        return predict(spec, base=base, rows=path, machine=machine, seed=context.seed, checkpointing=checkpointing)

    predicted = choose_checkpointing(spec, profile.memory_gb, made)
    choice = predicted["checkpointing"]
    context.events.tell("note", NAME, f"activation checkpointing is {choice['value']}: {choice['reason']}", **choice)
    general = [row for row in rows if row.split == "general"]
    gates = (
        judge_feasible(predicted, base=base, profile=profile, context_tokens=limit),
        judge_tokens(train, spec.limits, context_tokens=limit, warnings=chat.warnings, general=general),
    )
    _write_preview(context.out / "preview.jsonl", chat, train)
    return Tokens(
        gates=gates,
        chat_template_hash=chat.hash,
        rows=dict(Counter(row.split for row in rows)),
        tokens=sum(len(row.ids) for row in train),
        trained=sum(sum(row.trained) for row in train),
        cut=sum(row.cut for row in train),
        rows_cut=sum(row.cut > 0 for row in train),
        rows_untrained=len(train) - len(good),
        end_of_turn_missing=sum(not row.end_of_turn_ok for row in train),
        reasoning_lost=sum(row.reasoning_lost > 0 for row in train),
        shared_prefix=prefix,
        estimate=predicted,
    )


def _shared_prefix(rows: Sequence[TokenRow]) -> int:
    from tunesmith.tune.batches import Row, shared_prefix

    def places(row: TokenRow) -> tuple[int, ...]:
        return tuple(place for place, trained in enumerate(row.trained) if trained and place > 0)

    return shared_prefix([Row(row.id, row.ids, places(row)) for row in rows])


def _write_preview(path: Path, chat: Chat, train: Sequence[TokenRow]) -> None:
    from tunesmith.tune.render import preview

    lossy = [row for row in train[PREVIEWED:] if row.cut or row.problems or not row.end_of_turn_ok]
    shown = [preview(chat, row) for row in [*train[:PREVIEWED], *lossy[:PREVIEWED]]]
    files.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shown))
