"""Examples on disk: one Parquet file that every room can read.

Nested values (messages, tools, attributes, media) are columns of JSON text. Arrow structs would give every row the
union of all keys and fill the absent ones with nulls, which changes tool schemas and arguments; text stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.types import Example, Split

_PLAIN = ("id", "target", "group", "kind", "source", "licence", "place", "byte", "parent", "split", "desirable")
_JSON = ("messages", "rejected", "tools", "images", "audio", "attributes")
_ROWS_PER_BATCH = 4096


def write_examples(path: Path, examples: Iterable[Example]) -> int:
    """Write `examples` to a new Parquet file, in order; returns the number of rows.

    The same examples give the same bytes (same pyarrow version). Rows are written in batches of 4,096, so memory does
    not grow with the file. The file is not atomic by itself: stages write into a folder that is renamed as a whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"desirable": pa.bool_(), "byte": pa.int64()}
    schema = pa.schema([pa.field(name, types.get(name, pa.string())) for name in (*_PLAIN, *_JSON)])
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(examples):
            writer.write_table(pa.Table.from_pylist([_row(example) for example in batch], schema=schema))
            written += len(batch)
    return written


def read_examples(path: Path, split: Split | None = None) -> list[Example]:
    """The examples that `write_examples` wrote, in the same order.

    Args:
        path: the Parquet file (`snapshot.file("examples.parquet")`).
        split: only rows of this split; None: all rows.

    Raises:
        CorruptArtifact: the file is missing, or was not written by `write_examples`.
    """
    return list(iterate_examples(path, split))


def iterate_examples(path: Path, split: Split | None = None) -> Iterator[Example]:
    """`read_examples` one at a time, so that memory holds one batch of rows only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_PER_BATCH):
                for row in batch.to_pylist():
                    if split is None or row["split"] == split:
                        yield _example(row)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise CorruptArtifact(f"{path} does not hold examples: {error}") from error


def _batches(examples: Iterable[Example]) -> Iterator[Sequence[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == _ROWS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _row(example: Example) -> dict[str, Any]:
    plain = example.model_dump(mode="json")
    for name in _JSON:
        plain[name] = json.dumps(plain[name], ensure_ascii=False, separators=(",", ":"))
    return plain


def _example(row: dict[str, Any]) -> Example:
    values = {name: json.loads(row[name]) for name in _JSON}
    plain = {name: row[name] for name in _PLAIN if name in row}  # a column that an older version did not write
    return Example.model_validate({**plain, **values})
