"""A small training job for the tests of the room: a tiny model, rows of made-up tokens, a stage's context."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fakes import tiny_model_folder
from tunesmith.core.events import Event, Events
from tunesmith.core.examples import write_examples
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Example, Profile, Snapshot, Tokens
from tunesmith.tune.batches import Row, cut_batches, shared_prefix
from tunesmith.tune.objective import Job
from tunesmith.tune.spec import TuneSpec

PREFIX = [5, 9, 3, 17, 40, 2]
FAST = {
    "strategy": {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5},
    "learning_rate": 0.01,
    "epochs": 2,
    "rows_per_step": 4,
    "tokens_per_micro_batch": 40,
    "checkpoint_every": "2 steps",
}


def spec(**settings: Any) -> TuneSpec:
    return TuneSpec.model_validate({**FAST, **settings})


def some_rows(count: int = 10, *, seed: int = 0, prefix: Sequence[int] = PREFIX) -> list[Row]:
    """Rows of 9 to 20 tokens: the prefix, a question, an answer of 1 to 3 trained tokens, a line end."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        asked = [100 + number % 50, *(chance.randrange(4, 300) for _ in range(chance.randrange(1, 10)))]
        said = [chance.randrange(4, 300) for _ in range(chance.randrange(1, 4))]
        start = len(prefix) + len(asked)
        ids = (*prefix, *asked, *said, 7)
        rows.append(Row(f"ex-{seed}-{number}", ids, tuple(range(start, start + len(said)))))
    return rows


def base_of(folder: Path) -> Base:
    return Base(
        id="base-0",
        name="tiny",
        revision="",
        digest="0",
        architecture="LlamaForCausalLM",
        parameters=50_000,
        active_parameters=50_000,
        layers=2,
        hidden=32,
        vocabulary=400,
        context=512,
        path=str(folder),
        chat_template_hash="hash",
    )


def tiny_base(tmp_path: Path, architecture: str = "llama", **size: Any) -> Base:
    return base_of(tiny_model_folder(tmp_path, architecture, **{"num_hidden_layers": 4, **size}))


def job_of(model: Any, forward: Any, plan: Any, folder: Path, **fields: Any) -> Job:
    """What terms are bound with, in a folder of a test."""
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "model": model,
        "forward": forward,
        "rows": plan.rows,
        "batches": lambda numbers: cut_batches(plan.rows, numbers, plan.prefix, plan.micro_tokens),
        "folder": folder,
        "events": Events(),
        "seed": plan.seed,
        "examples": dict,
        "scorer": lambda _: None,
        "base_path": folder,
        "profile": profile(),
        **fields,
    }
    return Job(**values)


def snapshot_of(folder: Path | None = None, examples: Sequence[Example] = ()) -> Snapshot:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_examples(folder / "examples.parquet", examples)
    return Snapshot(rows_in=len(examples), kept=len(examples), folder=folder)


def profile() -> Profile:
    return Profile(problem="test", task="generation")


def tokens_of(folder: Path, train: Sequence[Row], valid: Sequence[Row] = ()) -> Tokens:
    """A Tokens artifact whose rows.parquet has exactly these rows; those with a rejected answer are judged."""
    folder.mkdir(parents=True, exist_ok=True)
    judged = {row.id for row in train if row.part == "rejected"}
    lines = [
        {
            "id": row.id,
            "split": "general" if row.part == "general" else split,
            "part": row.part,
            "judged": row.id in judged,
            "ids": row.ids,
            "trained": [i in row.trained for i in range(len(row.ids))],
        }
        for split, rows in (("train", train), ("valid", valid))
        for row in rows
    ]
    text = {"id": pa.string(), "split": pa.string(), "part": pa.string()}
    whole = {**text, "judged": pa.bool_(), "ids": pa.list_(pa.int32()), "trained": pa.list_(pa.bool_())}
    pq.write_table(pa.Table.from_pylist(lines, schema=pa.schema(whole)), folder / "rows.parquet")
    return Tokens(
        chat_template_hash="hash",
        rows={"train": len(train), "valid": len(valid)},
        tokens=0,
        trained=0,
        cut=0,
        rows_cut=0,
        rows_untrained=0,
        end_of_turn_missing=0,
        reasoning_lost=0,
        shared_prefix=shared_prefix(train),
        folder=folder,
    )


def context_of(folder: Path, heard: list[Event] | None = None, *, seed: int = 0) -> Context:
    def no_answerer(_: Any) -> Any:
        raise AssertionError("training asks no model for answers")

    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sinks = [] if heard is None else [heard.append]
    return Context(folder, folder / "out", folder / "scratch", Events(*sinks), seed, "run-0", no_answerer)
